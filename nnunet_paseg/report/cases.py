"""The cases of a report, worst first: their files, scores or volumes, and warnings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.case_scores import Classes
from nnunet_paseg.evaluation.evaluate import evaluate_folder
from nnunet_paseg.evaluation.table import Row
from nnunet_paseg.io.case_files import IMAGES, group_images, label_maps
from nnunet_paseg.report.files import check_grid, read_labels


@dataclass(frozen=True)
class ReportCase:
    """One case of the report.

    Attributes:
        identifier: Case identifier.
        image: File of the first channel.
        rows: Scores per class; without a reference, all but the predicted volume are NaN.
        prediction: Predicted label map, or None if it is missing.
        reference: Dense label map, if available.
    """

    identifier: str
    image: Path
    rows: tuple[Row, ...]
    prediction: Path | None = None
    reference: Path | None = None

    @property
    def dice(self) -> float:
        """Mean over the classes; NaN without a reference."""
        return float(np.mean([row.dice for row in self.rows]))

    @property
    def prediction_ml(self) -> float:
        """Predicted volume of all classes, ml."""
        return sum(row.prediction_ml for row in self.rows)

    def warnings(self) -> list[str]:
        """Return problems of the case, one sentence each."""
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
) -> list[ReportCase]:
    """Return the cases with their scores, worst mean Dice first; without references, smallest volume first.

    Arguments are those of `evaluate_folder`, and `images` is the folder of the images that were predicted.

    Raises:
        PasegError: A folder is empty, a case has no image, its grid differs from the grid of the image, or
            `evaluate_folder` cannot score it.
    """
    predicted = label_maps(predictions)
    if not predicted:
        raise PasegError(f"{predictions}: no label maps ({', '.join(IMAGES)}): pass the -o of nnUNetv2_predict.")
    referred = label_maps(references) if references is not None and references.is_dir() else {}
    found = {case: files[0] for case, files in group_images(images).items()}
    cases = sorted({**predicted, **referred})
    for case in cases:
        if case not in found:
            raise PasegError(
                f"{images}: no image for case {case}; expected {case}_0000.nii.gz or {case}.nii.gz: pass the folder "
                "that was predicted."
            )
        if case in predicted:
            check_grid(predicted[case], found[case])
    if references is None:
        bar = tqdm(cases, desc="volumes", unit="case", disable=not progress)
        rows = [row for case in bar for row in _volumes(case, predicted[case], classes.values)]
    else:
        rows = evaluate_folder(
            predictions,
            references,
            labels=None if classes.source else classes.values,
            dataset_json=classes.source,
            preset=preset,
            missing_as_empty=missing_as_empty,
            num_processes=num_processes,
            progress=progress,
        )
    by_case: dict[str, list[Row]] = {case: [] for case in cases}
    for row in rows:
        by_case[row.case].append(row)
    return worst_first(
        [ReportCase(case, found[case], tuple(by_case[case]), predicted.get(case), referred.get(case)) for case in cases]
    )


def worst_first(cases: Sequence[ReportCase]) -> list[ReportCase]:
    """Sort cases by mean Dice, then by predicted volume and name; cases without references by predicted volume."""
    return sorted(cases, key=lambda case: (_last_if_nan(case.dice), case.prediction_ml, case.identifier))


def _volumes(case: str, prediction: Path, values: Mapping[str, Sequence[int]]) -> list[Row]:
    image, unknown = read_labels(prediction), math.nan
    array, voxel_ml = sitk.GetArrayViewFromImage(image), float(np.prod(image.GetSpacing())) / 1000
    return [
        Row(case, name, unknown, unknown, unknown, unknown, int(np.isin(array, labels).sum()) * voxel_ml)
        for name, labels in values.items()
    ]


def _last_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value
