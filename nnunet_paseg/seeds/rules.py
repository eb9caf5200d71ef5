"""Seed rules for one target in its box: the rule adapted to box and image, and the rule of the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.geodesic import geodesic_distance, shortest_path
from nnunet_paseg.seeds.likely_volume import likely_volume

Rule = Literal["adaptive", "paper"]
THRESHOLDS: dict[Rule, float] = {"adaptive": 0.5, "paper": 0.2}

CONTRAST = 10.0
"""Factor of the normalised intensity in the geodesic distance: with a difference of 1 a step costs its length."""

TRUSTED_PATH = 0.8
"""Fraction of the shortest path to an extreme point that becomes foreground: its last part may leave the target."""

FLATTEST = 0.02
"""Square of the smallest half axis of the ellipsoid through the extreme points, in half edge lengths of the box."""


@dataclass(frozen=True)
class SeedParameters:
    """Parameters of the seed expansion.

    Attributes:
        rule: ``adaptive`` (distances that are independent of the scanner's scale, the spacing and the size of the
            target, weighted by the shape of the box) or ``paper`` (PA-Seg, section III-A: raw intensities, mm).
        threshold: Adaptive: the nearest voxels become foreground, up to this fraction of the target's estimated volume
            (default: 0.5). Paper: all voxels nearer than this fraction of the largest distance (default: 0.2).
        background: Adaptive: background starts at this multiple of the estimated volume; infinity for no background
            inside the boxes. Voxels around the estimated surface stay unlabelled. With background nearer to the
            surface, networks learn targets that are too small.
        weight: Weight of the intensity in the geodesic distance; 0 is Euclidean.
        backend: ``"torch"`` (exact) or ``"geodistk"`` (raster scans as in the paper, if installed).

    Raises:
        PasegError: A value is out of range.
    """

    rule: Rule = "adaptive"
    threshold: float | None = None
    background: float = 2.0
    weight: float = 0.5
    backend: str = "torch"

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise PasegError(f"The seed rule is one of {', '.join(get_args(Rule))}: got {self.rule!r}.")
        if self.threshold is None:
            object.__setattr__(self, "threshold", THRESHOLDS[self.rule])
        assert self.threshold is not None
        if not 0 < self.threshold <= 1:
            raise PasegError(f"The seed threshold is a fraction, in (0, 1]: got {self.threshold}.")
        if not self.background >= self.threshold:
            raise PasegError(
                f"Background must start beyond the foreground, at {self.threshold} times the estimated volume or more: "
                f"got {self.background} (infinity for no background inside the boxes)."
            )


class BoxSeeds(NamedTuple):
    """The seeds of one target in its box, each (z, y, x), and its volume.

    Attributes:
        relative: Number of nearer voxels as a fraction of the estimated volume (adaptive), or distance as a fraction of
            the largest distance (paper). The threshold applies to it, and overlapping targets are compared by it.
        foreground: Mask of the foreground seeds.
        background: Mask of the background seeds.
        volume: Estimated volume of the target in voxels; NaN with the rule of the paper.
    """

    relative: npt.NDArray[np.float32]
    foreground: npt.NDArray[np.bool_]
    background: npt.NDArray[np.bool_]
    volume: float


def box_seeds(
    image: npt.NDArray[Any],
    points: npt.NDArray[np.integer],
    extremes: npt.NDArray[np.integer],
    *,
    spacing_mm: Sequence[float],
    parameters: SeedParameters,
) -> BoxSeeds:
    """Expand the foreground points of one target in its box.

    Args:
        image: Intensities (c, z, y, x) in the box.
        points: Voxel indices (n, 3), (z, y, x), of the foreground points in the box.
        extremes: Voxel indices (k, 3), (z, y, x), of the extreme points in the box.
        spacing_mm: Spacing (z, y, x).
        parameters: Parameters of the expansion.

    Returns:
        The seeds, which always include the foreground points.
    """
    marked = np.zeros(image.shape[1:], dtype=bool)
    marked[tuple(points.T)] = True
    weight, backend, threshold = parameters.weight, parameters.backend, parameters.threshold
    assert threshold is not None  # set by the parameters themselves
    if parameters.rule == "paper":
        distance = geodesic_distance(image, marked, spacing_mm=spacing_mm, weight=weight, backend=backend)
        relative = (distance / max(float(distance.max()), 1e-12)).astype(np.float32)
        return BoxSeeds(relative, relative < threshold, np.zeros_like(marked), math.nan)
    shape: tuple[int, ...] = marked.shape
    image, edges = normalised(image), [1 / size for size in shape]
    contrast = CONTRAST * image
    distance = geodesic_distance(contrast, marked, spacing_mm=edges, weight=weight, backend=backend)
    sources = marked.copy()
    for extreme in extremes:
        path = shortest_path(distance, extreme)[::-1]
        sources[tuple(path[: max(1, round(TRUSTED_PATH * len(path)))].T)] = True
    distance = geodesic_distance(contrast, sources, spacing_mm=edges, weight=weight, backend=backend)
    straight = ndimage.distance_transform_edt(~sources, sampling=[2 * edge for edge in edges])
    distance *= radius_in_box(shape, extremes) + straight
    nearer = np.searchsorted(np.sort(distance, axis=None), distance)
    volume = likely_volume(image, distance, extremes)
    relative = (nearer / volume).astype(np.float32)
    return BoxSeeds(relative, (relative < threshold) | marked, (relative > parameters.background) & ~marked, volume)


def normalised(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Divide every channel (c, z, y, x) by its range, from the 10th to the 90th percentile, and clip at ten ranges."""
    values = image.astype(np.float64)
    low, high = np.percentile(values, [10, 90], axis=(1, 2, 3), keepdims=True)
    span = np.where(high > low, high - low, np.ptp(values, axis=(1, 2, 3), keepdims=True))
    with np.errstate(over="ignore"):  # a range of almost nothing
        values = (values - low) / np.where(span > 0, span, 1)
    return np.clip(values, -10, 10).astype(np.float32)


def radius_in_box(shape: Sequence[int], extremes: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Return the distance from the centre of a box, 1 on an ellipsoid that touches the faces where the target does.

    Without extreme points it is the inscribed ellipsoid of the box, and the corners are at sqrt(3). An oblique target
    touches opposite faces near opposite corners: the coordinates of its extreme points are correlated. With their
    correlations R about the centre, the ellipsoid is

        x' S^-1 x = 1,        S = det(R) I + (1 - det(R)) R,        x in half edge lengths

    det(R) is 1 without correlation and 0 for extreme points in one plane, so that chance correlations of six points
    have little effect.

    Args:
        shape: Shape (z, y, x) of the box.
        extremes: Voxel indices (k, 3), (z, y, x), in the box; fewer than six are ignored.
    """
    halves = np.asarray(shape) / 2
    matrix = np.eye(3)
    if len(extremes) >= 6:
        offsets = (extremes + 0.5) / halves - 1
        lengths = np.maximum(np.sqrt((offsets**2).sum(axis=0)), 1e-6)
        correlations = (offsets / lengths).T @ (offsets / lengths)
        np.fill_diagonal(correlations, 1)
        chance = max(FLATTEST, float(np.linalg.det(correlations)))
        matrix = chance * np.eye(3) + (1 - chance) * correlations
    lines = [(np.arange(size) + 0.5) / half - 1 for size, half in zip(shape, halves, strict=True)]
    axes, inverse = np.meshgrid(*lines, indexing="ij", sparse=True), np.linalg.inv(matrix)
    squared = sum(inverse[i, j] * axes[i] * axes[j] for i in range(3) for j in range(3))
    return np.sqrt(squared).astype(np.float32)
