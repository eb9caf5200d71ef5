"""Scores of one case: its label maps are read, compared in geometry and labels, and every class is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.metrics import score
from nnunet_paseg.evaluation.table import Row
from nnunet_paseg.io.images import read_labels

if TYPE_CHECKING:
    import SimpleITK as sitk


@dataclass(frozen=True)
class Classes:
    """The classes to score.

    Attributes:
        values: Label values that make up each class, by class name.
        ignore: Ignore label, None if the dataset has none.
        source: The dataset.json that declares the classes, None if they were given as label values.
    """

    values: Mapping[str, tuple[int, ...]]
    ignore: int | None = None
    source: Path | None = None


@dataclass(frozen=True)
class Job:
    """A case to score; a missing prediction counts as empty."""

    case: str
    prediction: Path | None
    reference: Path
    classes: Classes
    preset: str


def score_case(job: Job) -> list[Row]:
    """Return one row per class.

    Raises:
        PasegError: A file cannot be read, the geometries differ, or a label is not declared.
    """
    reference, image = read_labels(job.reference)
    if job.prediction is None:
        prediction = np.zeros_like(reference)
    else:
        prediction, predicted_image = read_labels(job.prediction)
        _check_geometry(job, predicted_image, image)
    _check_labels(job, prediction, reference)
    spacing_mm = image.GetSpacing()[::-1]  # SimpleITK counts axes (x, y, z)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    rows = []
    for name, values in job.classes.values.items():
        masks = np.isin(prediction, values), np.isin(reference, values)
        scores = score(*masks, spacing_mm=spacing_mm, preset=job.preset)
        predicted_ml, referred_ml = (int(mask.sum()) * voxel_ml for mask in masks)
        missing = job.prediction is None
        rows.append(
            Row(job.case, name, scores.dice, scores.assd_mm, scores.hd95_mm, referred_ml, predicted_ml, missing)
        )
    return rows


def _check_geometry(job: Job, prediction: sitk.Image, reference: sitk.Image) -> None:
    spacing = np.array(reference.GetSpacing())
    # Headers may be stored in single precision: a hundredth of a voxel, and a thousandth of a direction, are equal.
    checks: list[tuple[str, Any, Any, Any]] = [
        ("size", prediction.GetSize(), reference.GetSize(), 0),
        ("spacing", prediction.GetSpacing(), reference.GetSpacing(), 1e-3 * spacing),
        ("origin", prediction.GetOrigin(), reference.GetOrigin(), 1e-2 * spacing.min()),
        ("direction", prediction.GetDirection(), reference.GetDirection(), 1e-3),
    ]
    for name, predicted, referred, tolerance in checks:
        a, b = np.array(predicted), np.array(referred)
        if a.shape != b.shape or np.any(np.abs(a - b) > tolerance):
            raise PasegError(
                f"{job.case}: {name} (x, y, z) of {job.prediction} is {_short(predicted)}, of {job.reference} "
                f"{_short(referred)}; resample the prediction to the grid of the reference"
            )


def _check_labels(job: Job, prediction: npt.NDArray[Any], reference: npt.NDArray[Any]) -> None:
    classes = job.classes
    if classes.ignore is not None and np.any(reference == classes.ignore):
        raise PasegError(
            f"{job.reference}: contains the ignore label {classes.ignore}: surface distances need a dense reference"
        )
    if classes.source is None:
        return
    known = [0, *(value for values in classes.values.values() for value in values)]
    known += [] if classes.ignore is None else [classes.ignore]
    for path, array in ((job.prediction, prediction), (job.reference, reference)):
        if unknown := sorted(set(np.unique(array).tolist()) - set(known)):
            raise PasegError(f"{path}: labels {_short(unknown)} are not in {classes.source}")


def _short(numbers: Sequence[float]) -> str:
    return "(" + ", ".join(f"{number:g}" for number in numbers) + ")"
