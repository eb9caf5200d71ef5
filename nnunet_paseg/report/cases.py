"""The cases of a report, worst first: their files, scores or volumes, and problems."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.case_scores import CaseScores, Classes
from nnunet_paseg.evaluation.comparison import unscored_notes
from nnunet_paseg.evaluation.evaluate import Evaluation, score_folder
from nnunet_paseg.evaluation.table import Row, present_classes
from nnunet_paseg.io.case_files import IMAGES, find_images, label_maps
from nnunet_paseg.io.images import read_labels
from nnunet_paseg.report.files import check_grid


@dataclass(frozen=True)
class ReportCase:
    """One case of the report.

    Attributes:
        identifier: Case identifier.
        rows: Scores per class. Without a reference, all but the predicted volume are NaN. The Dice of a class that is
            in no case is NaN.
        image: File of the first channel, or None if it cannot be used.
        prediction: Predicted label map, or None if it is missing.
        reference: Dense label map, if available.
    """

    identifier: str
    rows: tuple[Row, ...]
    image: Path | None = None
    prediction: Path | None = None
    reference: Path | None = None

    @property
    def dice(self) -> float:
        """Mean over the classes; NaN without a reference."""
        defined = [row.dice for row in self.rows if not math.isnan(row.dice)]
        return float(np.mean(defined)) if defined else math.nan

    @property
    def prediction_ml(self) -> float:
        """Predicted volume of all classes, ml."""
        return sum(row.prediction_ml for row in self.rows)

    def warnings(self) -> list[str]:
        """Return conspicuous results of the case, one sentence each."""
        if self.prediction is None:
            return ["there is no prediction, and it is scored as empty"]
        if self.reference is None:
            return [] if self.prediction_ml else ["the prediction is empty"]
        found = []
        for row in self.rows:
            if row.reference_ml and not row.prediction_ml:
                found.append(f"the prediction of {row.class_name} is empty, the reference is not")
            elif row.prediction_ml and not row.reference_ml:
                found.append(f"{row.class_name} is predicted, but the reference has none")
            elif row.prediction_ml and not row.dice:
                found.append(f"prediction and reference of {row.class_name} do not overlap")
        return found


@dataclass(frozen=True)
class Findings:
    """All cases of the report.

    Attributes:
        cases: Cases with scores or volumes, worst first.
        failures: Cases with a file that cannot be used, and the message; a case may be there twice.
        notes: Sentences on labels that are in no file, or that are in the files and not scored.
    """

    cases: Sequence[ReportCase]
    failures: Sequence[tuple[str, str]]
    notes: Sequence[str]


def find_cases(
    predictions: Path,
    images: Path,
    references: Path | None,
    classes: Classes,
    *,
    preset: str = "default",
    missing_as_empty: bool = False,
    num_processes: int = 1,
    progress: bool = False,
) -> Findings:
    """Score the cases: worst mean Dice first; without references, smallest volume first.

    Arguments are those of `score_folder`, and `images` is the folder of the images that were predicted.

    Raises:
        PasegError: A folder is empty, the folders do not match, or `score_folder` finds nothing to compare.
    """
    predicted = label_maps(predictions)
    if not predicted:
        raise PasegError(f"{predictions}: no label maps ({', '.join(IMAGES)}): pass the -o of nnUNetv2_predict.")
    referred = {} if references is None else label_maps(references)
    found = {case: files.images[0] for case, files in find_images(images, {**predicted, **referred}).items()}
    if references is None:
        result = _volumes(predicted, classes, progress=progress)
    else:
        result = score_folder(
            predictions,
            references,
            labels=None if classes.source else classes.values,
            dataset_json=classes.source,
            preset=preset,
            missing_as_empty=missing_as_empty,
            num_processes=num_processes,
            progress=progress,
        )
    failures = list(result.failures.items())
    by_case: dict[str, list[Row]] = {}
    for row in _without_absent(result.rows):
        by_case.setdefault(row.case, []).append(row)
    cases = []
    for case, rows in by_case.items():
        image = found.get(case)
        try:
            if image is None:
                raise PasegError(
                    f"{images}: no image for case {case}; expected {case}_0000.nii.gz or {case}.nii.gz: pass the "
                    "folder that was predicted."
                )
            if case in predicted:
                check_grid(predicted[case], image)
        except PasegError as error:
            failures.append((case, str(error)))
            image = None
        cases.append(ReportCase(case, tuple(rows), image, predicted.get(case), referred.get(case)))
    return Findings(worst_first(cases), failures, result.notes)


def worst_first(cases: Sequence[ReportCase]) -> list[ReportCase]:
    """Sort cases by mean Dice, then by predicted volume and name; cases without references by predicted volume."""
    return sorted(cases, key=lambda case: (_last_if_nan(case.dice), case.prediction_ml, case.identifier))


def _without_absent(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with an undefined Dice for classes that are in no case: two empty masks compare nothing."""
    present = present_classes(rows)
    return [row if row.class_name in present else replace(row, dice=math.nan) for row in rows]


def _volumes(predicted: Mapping[str, Path], classes: Classes, *, progress: bool) -> Evaluation:
    """Measure the predictions without references; the result is that of `score_folder`."""
    cases: dict[str, CaseScores] = {}
    failures = {}
    for case, path in tqdm(sorted(predicted.items()), desc="volumes", unit="case", disable=not progress):
        try:
            cases[case] = _measure(case, path, classes)
        except PasegError as error:
            failures[case] = str(error)
        except Exception as error:  # whatever a library raises for a damaged file, it concerns this case alone
            failures[case] = f"{path}: cannot be read ({type(error).__name__}: {error}): predict or copy it again"
    rows = tuple(row for scores in cases.values() for row in scores.rows)
    return Evaluation(rows, failures, tuple(unscored_notes(cases, classes)))


def _measure(case: str, prediction: Path, classes: Classes) -> CaseScores:
    unknown = math.nan
    array, image = read_labels(prediction)
    voxel_ml = float(np.prod(image.GetSpacing())) / 1000
    rows = tuple(
        Row(case, name, unknown, unknown, unknown, unknown, int(np.isin(array, values).sum()) * voxel_ml)
        for name, values in classes.values.items()
    )
    return CaseScores(rows, {prediction: frozenset(np.unique(array).tolist()) - {0}})


def _last_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value
