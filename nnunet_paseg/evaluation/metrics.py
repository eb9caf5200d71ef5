"""Dice, average symmetric surface distance (ASSD) and 95th percentile Hausdorff distance (HD95), by named definitions.

Tools disagree on ASSD and HD95, so a figure means little without the definition behind it. `PRESETS` names the ones
offered here; `docs/metrics.md` writes them out and shows how far they lie apart.
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
    """How the distances from either surface to the other one become one figure.

    Attributes:
        assd: "pooled": mean over the voxels of both surfaces; "directed": mean of the two directed means.
        hd95: "directed": the larger of the two directed 95th percentiles; "pooled": 95th percentile over both surfaces.
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
    # The definitions behind PA-Seg's published figures.
    "medpy-0.4": Preset(assd="directed", hd95="pooled"),
}


@dataclass(frozen=True)
class Scores:
    """Agreement of one predicted mask with its reference; the distances are NaN where they are undefined."""

    dice: float
    assd_mm: float
    hd95_mm: float


def dice(prediction: npt.ArrayLike, reference: npt.ArrayLike, *, spacing_mm: Sequence[float] | None = None) -> float:
    """Dice overlap 2|P & R| / (|P| + |R|): 0 if just one of the masks is empty, 1 if both are.

    Args:
        prediction: mask (z, y, x).
        reference: mask (z, y, x).
        spacing_mm: without influence; accepted so that the three metrics are called alike.

    Raises:
        PasegError: the shapes differ, or an array is not a mask.

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
    """Average symmetric surface distance in mm; NaN (undefined) if either mask is empty, or both are.

    Args:
        prediction: mask (z, y, x).
        reference: mask (z, y, x).
        spacing_mm: distance of neighbouring voxel centres along (z, y, x), from the image header.
        preset: a key of `PRESETS`.

    Raises:
        PasegError: the shapes differ, an array is not a mask, or the spacing or the preset cannot be used.
    """
    return score(prediction, reference, spacing_mm=spacing_mm, preset=preset).assd_mm


def hd95(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, *, spacing_mm: Sequence[float], preset: str = "default"
) -> float:
    """95th percentile Hausdorff distance in mm; NaN (undefined) if either mask is empty, or both are.

    Percentiles interpolate linearly between the sorted distances. Arguments and errors are those of `assd`.
    """
    return score(prediction, reference, spacing_mm=spacing_mm, preset=preset).hd95_mm


def score(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, *, spacing_mm: Sequence[float], preset: str = "default"
) -> Scores:
    """All three metrics from one pass of the distance transforms; arguments and errors are those of `assd`."""
    if preset not in PRESETS:
        raise PasegError(f"unknown metrics preset {preset!r}: use one of {', '.join(PRESETS)}")
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
    """Exact Euclidean distances in mm between the voxels of two surfaces.

    Args:
        prediction: mask (z, y, x).
        reference: mask (z, y, x).
        spacing_mm: distance of neighbouring voxel centres along (z, y, x).

    Returns:
        For each surface voxel of the prediction the distance to the nearest surface voxel of the reference, and the
        same the other way round; two empty arrays if either mask is empty.

    Raises:
        PasegError: the shapes differ, an array is not a mask, or the spacing cannot be used.
    """
    predicted, referred = _masks(prediction, reference)
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape != (predicted.ndim,) or not np.all(np.isfinite(spacing) & (spacing > 0)):
        raise PasegError(f"spacing_mm must be {predicted.ndim} positive numbers, one an axis; got {spacing_mm!r}")
    if not predicted.any() or not referred.any():
        return np.empty(0), np.empty(0)
    # Neither surface nor distance depends on what lies outside the box around both masks.
    (box,) = ndimage.find_objects((predicted | referred).astype(np.uint8))
    predicted_surface, referred_surface = surface(predicted[box]), surface(referred[box])
    to_reference = ndimage.distance_transform_edt(~referred_surface, sampling=spacing)[predicted_surface]
    to_prediction = ndimage.distance_transform_edt(~predicted_surface, sampling=spacing)[referred_surface]
    return to_reference, to_prediction


def surface(mask: BoolArray) -> BoolArray:
    """Voxels of the mask with a face neighbour outside it; beyond the border of the array is outside."""
    return mask & ~ndimage.binary_erosion(mask, structure=ndimage.generate_binary_structure(mask.ndim, 1))


def _masks(prediction: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[BoolArray, BoolArray]:
    predicted, referred = _mask(prediction, "prediction"), _mask(reference, "reference")
    if predicted.shape != referred.shape:
        raise PasegError(f"prediction and reference differ in shape: {predicted.shape} and {referred.shape}")
    return predicted, referred


def _mask(values: npt.ArrayLike, name: str) -> BoolArray:
    array: npt.NDArray[Any] = np.asarray(values)
    # A label map with several classes is nearly always a forgotten `== label`.
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise PasegError(f"{name} is not a mask: it holds values other than 0 and 1; compare with one label first")
    return array.astype(np.bool_, copy=False)
