"""The cases of a report: their files, their scores or volumes, what is conspicuous, and the worst first."""

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
        identifier: the case.
        image: file of its first channel.
        rows: one a class; without truth the scores and the reference's volume are NaN.
        prediction: label map, or None where nothing was predicted.
        reference: dense label map, or None where it is not known.
    """

    identifier: str
    image: Path
    rows: tuple[Row, ...]
    prediction: Path | None = None
    reference: Path | None = None

    @property
    def dice(self) -> float:
        """Mean over the classes; NaN without truth."""
        return float(np.mean([row.dice for row in self.rows]))

    @property
    def prediction_ml(self) -> float:
        """Volume of all classes."""
        return sum(row.prediction_ml for row in self.rows)

    def warnings(self) -> list[str]:
        """What a reader should look at first, one sentence each."""
        if self.prediction is None:
            return ["there is no prediction; scored as empty"]
        if self.reference is None:
            return [] if self.prediction_ml else ["the prediction is empty"]
        found = []
        for row in self.rows:
            if row.reference_ml and not row.prediction_ml:
                found.append(f"the prediction of {row.class_name} is empty, the truth is not")
            elif row.prediction_ml and not row.reference_ml:
                found.append(f"{row.class_name} is predicted, the truth has none")
            elif row.prediction_ml and not row.dice:
                found.append(f"prediction and truth of {row.class_name} do not overlap")
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
    """Cases with their scores by `evaluate_folder`, worst mean Dice first; without truth the smallest volume first.

    Raises:
        PasegError: a folder is empty, a case has no image or lies on another grid than its image, or
            whatever `evaluate_folder` refuses.
    """
    predicted = label_maps(predictions)
    if not predicted:
        raise PasegError(f"{predictions}: no label maps ({', '.join(IMAGES)}); is it the -o of nnUNetv2_predict?")
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
    """By mean Dice, equal ones by predicted volume and name; cases without truth by predicted volume."""
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
