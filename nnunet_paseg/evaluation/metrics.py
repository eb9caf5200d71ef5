"""Dice, average symmetric surface distance (ASSD) and 95th percentile Hausdorff distance (HD95), by named definitions.

Tools define ASSD and HD95 differently, so a value means little without its definition. `PRESETS` names the definitions
that are implemented here. `docs/metrics.md` states them and shows how much they differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunet_paseg.errors import PasegError

BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Preset:
    """A definition of ASSD and HD95 from the distances between two surfaces.

    Attributes:
        assd: "pooled" is the mean over the voxels of both surfaces, "directed" the mean of the two directed means.
        hd95: "directed" is the larger of the two directed 95th percentiles, "pooled" the percentile of both surfaces.
    """

    assd: Literal["pooled", "directed"]
    hd95: Literal["pooled", "directed"]

    def __str__(self) -> str:
        assd = "mean over both surfaces pooled" if self.assd == "pooled" else "mean of the two directed means"
        hd95 = "95th percentile over both surfaces pooled"
        if self.hd95 == "directed":
            hd95 = "larger of the two directed 95th percentiles"
        return f"ASSD = {assd}; HD95 = {hd95}"


PRESETS = {
    "default": Preset(assd="pooled", hd95="directed"),
    # The definitions of PA-Seg's published scores.
    "medpy-0.4": Preset(assd="directed", hd95="pooled"),
}


@dataclass(frozen=True)
class Scores:
    """Scores of one predicted mask against its reference; undefined distances are NaN."""

    dice: float
    assd_mm: float
    hd95_mm: float


def dice(prediction: npt.ArrayLike, reference: npt.ArrayLike, *, spacing_mm: Sequence[float] | None = None) -> float:
    """Compute the Dice overlap 2|P & R| / (|P| + |R|): 0 if one of the masks is empty, 1 if both are.

    Args:
        prediction: Mask (z, y, x).
        reference: Mask (z, y, x).
        spacing_mm: Unused, so that the three metrics have the same arguments.

    Raises:
        PasegError: The shapes differ, or an array is not a mask.

    Example:
        >>> dice([[True, True]], [[True, False]])
        0.6666666666666666
    """
    predicted, referred = _masks(prediction, reference)
    total = int(predicted.sum()) + int(referred.sum())
    return 1.0 if total == 0 else 2.0 * int((predicted & referred).sum()) / total


def assd(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, *, spacing_mm: Sequence[float], preset: str = "default"
) -> float:
    """Compute the average symmetric surface distance in mm; NaN (undefined) if a mask is empty.

    Args:
        prediction: Mask (z, y, x).
        reference: Mask (z, y, x).
        spacing_mm: Spacing (z, y, x) in mm, from the image header.
        preset: Key of `PRESETS`.

    Raises:
        PasegError: The shapes differ, an array is not a mask, or the spacing or the preset is invalid.
    """
    return score(prediction, reference, spacing_mm=spacing_mm, preset=preset).assd_mm


def hd95(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, *, spacing_mm: Sequence[float], preset: str = "default"
) -> float:
    """Compute the 95th percentile Hausdorff distance in mm; NaN (undefined) if a mask is empty.

    Percentiles interpolate linearly between the sorted distances. Arguments and errors are those of `assd`.
    """
    return score(prediction, reference, spacing_mm=spacing_mm, preset=preset).hd95_mm


def score(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, *, spacing_mm: Sequence[float], preset: str = "default"
) -> Scores:
    """Compute all three metrics from the same distance transforms; arguments and errors are those of `assd`."""
    if preset not in PRESETS:
        raise PasegError(f"unknown metrics preset {preset!r}: choose one of {', '.join(PRESETS)}")
    definition = PRESETS[preset]
    overlap = dice(prediction, reference)
    to_reference, to_prediction = surface_distances(prediction, reference, spacing_mm=spacing_mm)
    if to_reference.size == 0:
        return Scores(overlap, float("nan"), float("nan"))
    pooled = np.concatenate([to_reference, to_prediction])
    mean = pooled.mean() if definition.assd == "pooled" else (to_reference.mean() + to_prediction.mean()) / 2
    if definition.hd95 == "pooled":
        percentile = np.percentile(pooled, 95)
    else:
        percentile = max(np.percentile(to_reference, 95), np.percentile(to_prediction, 95))
    return Scores(overlap, float(mean), float(percentile))


def surface_distances(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, *, spacing_mm: Sequence[float]
) -> tuple[FloatArray, FloatArray]:
    """Compute exact Euclidean distances in mm between the voxels of two surfaces.

    Args:
        prediction: Mask (z, y, x).
        reference: Mask (z, y, x).
        spacing_mm: Spacing (z, y, x) in mm.

    Returns:
        Distances from each surface voxel of the prediction to the nearest surface voxel of the reference, and from
        the reference to the prediction. Both arrays are empty if a mask is empty.

    Raises:
        PasegError: The shapes differ, an array is not a mask, or the spacing is invalid.
    """
    predicted, referred = _masks(prediction, reference)
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape != (predicted.ndim,) or not np.all(np.isfinite(spacing) & (spacing > 0)):
        raise PasegError(f"spacing_mm must be {predicted.ndim} positive numbers, one per axis; got {spacing_mm!r}")
    if not predicted.any() or not referred.any():
        return np.empty(0), np.empty(0)
    # Surfaces and distances do not depend on voxels outside the bounding box of both masks.
    (box,) = ndimage.find_objects((predicted | referred).astype(np.uint8))
    predicted_surface, referred_surface = surface(predicted[box]), surface(referred[box])
    to_reference = ndimage.distance_transform_edt(~referred_surface, sampling=spacing)[predicted_surface]
    to_prediction = ndimage.distance_transform_edt(~predicted_surface, sampling=spacing)[referred_surface]
    return to_reference, to_prediction


def surface(mask: BoolArray) -> BoolArray:
    """Return the voxels of a mask with a face neighbour outside the mask or outside the array."""
    return mask & ~ndimage.binary_erosion(mask, structure=ndimage.generate_binary_structure(mask.ndim, 1))


def _masks(prediction: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[BoolArray, BoolArray]:
    predicted, referred = _mask(prediction, "prediction"), _mask(reference, "reference")
    if predicted.shape != referred.shape:
        raise PasegError(
            f"prediction and reference differ in shape: {predicted.shape} and {referred.shape}; compare masks "
            "on one grid"
        )
    return predicted, referred


def _mask(values: npt.ArrayLike, name: str) -> BoolArray:
    array: npt.NDArray[Any] = np.asarray(values)
    # A label map with several classes usually means that `== label` was forgotten.
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise PasegError(
            f"{name} is not a mask: it contains values other than 0 and 1; compare it with one label first"
        )
    return array.astype(np.bool_, copy=False)
