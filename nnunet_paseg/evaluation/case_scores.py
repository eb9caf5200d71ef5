"""Scores of one case: its label maps are read, compared in geometry and labels, and every class is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.metrics import score
from nnunet_paseg.evaluation.table import Row
from nnunet_paseg.io.geometry import geometry_of
from nnunet_paseg.io.images import read_labels

if TYPE_CHECKING:
    import SimpleITK as sitk

MAX_LISTED = 10
"""Most label values that a message lists."""


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


@dataclass(frozen=True)
class CaseScores:
    """Scores of a case, and the label values in its files.

    Attributes:
        rows: One row per class.
        values: Label values other than 0, by file.
    """

    rows: tuple[Row, ...]
    values: Mapping[Path, frozenset[int]]


def score_case(job: Job) -> CaseScores:
    """Score every class of a case.

    Raises:
        PasegError: A file cannot be read, the geometries differ, or a label is not declared.
    """
    reference, image = read_labels(job.reference)
    found = {job.reference: reference}
    if job.prediction is None:
        prediction = np.zeros_like(reference)
    else:
        prediction, predicted_image = read_labels(job.prediction)
        found[job.prediction] = prediction
        _check_geometry(job, predicted_image, image)
    values = {path: frozenset(int(value) for value in np.unique(array)) - {0} for path, array in found.items()}
    _check_labels(job, values)
    spacing_mm = image.GetSpacing()[::-1]  # SimpleITK counts axes (x, y, z)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    rows = []
    for name, of_class in job.classes.values.items():
        masks = np.isin(prediction, of_class), np.isin(reference, of_class)
        scores = score(*masks, spacing_mm=spacing_mm, preset=job.preset)
        predicted_ml, referred_ml = (int(mask.sum()) * voxel_ml for mask in masks)
        missing = job.prediction is None
        rows.append(
            Row(job.case, name, scores.dice, scores.assd_mm, scores.hd95_mm, referred_ml, predicted_ml, missing)
        )
    return CaseScores(tuple(rows), values)


def _check_geometry(job: Job, prediction: sitk.Image, reference: sitk.Image) -> None:
    """Raise PasegError if the voxels of both images are at different places."""
    predicted, referred = geometry_of(prediction), geometry_of(reference)
    if referred.is_same_grid(predicted):
        return
    names = ("size", "spacing", "origin", "direction")
    pairs = {name: (getattr(predicted, name), getattr(referred, name)) for name in names}
    differing = [name for name, (ours, theirs) in pairs.items() if ours != theirs]
    # Rounded headers differ everywhere: the message is about a property that differs visibly, if there is one.
    name = next((name for name in differing if not np.allclose(*pairs[name], rtol=1e-5, atol=0)), differing[0])
    ours, theirs = pairs[name]
    raise PasegError(
        f"{job.case}: {name} (x, y, z) of {job.prediction} is {_short(ours)}, of {job.reference} {_short(theirs)}; "
        "resample the prediction to the grid of the reference"
    )


def _check_labels(job: Job, values: Mapping[Path, frozenset[int]]) -> None:
    classes = job.classes
    if classes.ignore in values[job.reference]:
        raise PasegError(
            f"{job.reference}: contains the ignore label {classes.ignore}: surface distances need a dense reference"
        )
    if classes.source is None:
        return
    known = {classes.ignore, *(value for of_class in classes.values.values() for value in of_class)}
    for path, found in values.items():
        if unknown := sorted(found - known):
            raise PasegError(f"{path}: labels {_short(unknown)} are not in {classes.source}")


def _short(numbers: Sequence[float]) -> str:
    rest = f", and {len(numbers) - MAX_LISTED} more" if len(numbers) > MAX_LISTED else ""
    return "(" + ", ".join(f"{number:.9g}" for number in numbers[:MAX_LISTED]) + f"{rest})"
