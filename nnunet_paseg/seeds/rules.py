"""Which voxels of one target's box are seeds: the rule adapted to box and image, and the paper's."""

from __future__ import annotations

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
"""Factor of the normalised intensity in the geodesic distance: a difference of 1 makes a step cost its length."""

TRUSTED_PATH = 0.8
"""Part of the cheapest path to a clicked end of the target that is taken for target: its last part may leave it."""

FLATTEST = 0.02
"""Square of the smallest half axis of the ellipsoid that a target's ends span, in half edges of a box."""


@dataclass(frozen=True)
class SeedParameters:
    """How points are expanded.

    Attributes:
        rule: ``adaptive`` (distances that do not depend on the scanner's scale, the voxel size or the size of the
            target, weighted by the box's shape) or ``paper`` (PA-Seg, section III-A: raw intensities, millimetres).
        threshold: foreground are the nearest voxels, up to this fraction of the target's likely volume (adaptive; 0.5
            where it is None), or all that lie nearer than this fraction of the largest distance (paper; 0.2).
        background: adaptive: the voxels that come after this many times the likely volume are background; infinity for
            no background inside the boxes. As many times the likely volume as the threshold is a part of it, it leaves
            open what lies about the likely surface: nearer to it, networks learn targets that are too small.
        weight: of the intensity in the geodesic distance; 0 is Euclidean.
        backend: ``"torch"`` (exact) or ``"geodistk"`` (the paper's raster scans, if installed).

    Raises:
        PasegError: a value out of range.
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
                f"Background begins beyond the foreground, at {self.threshold} times the likely volume or more: got "
                f"{self.background} (infinity for no background inside the boxes)."
            )


class BoxSeeds(NamedTuple):
    """One target's seeds in its box, each (z, y, x).

    Attributes:
        relative: what the threshold is compared with: number of nearer voxels as a fraction of the likely volume
            (adaptive), or distance as a fraction of the largest one (paper). Also compares targets with each other.
        foreground: bool, belongs to the target.
        background: bool, does not.
    """

    relative: npt.NDArray[np.float32]
    foreground: npt.NDArray[np.bool_]
    background: npt.NDArray[np.bool_]


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
        image: (c, z, y, x) intensities in the box.
        points: (n, 3) voxel indices (z, y, x) in the box, inside the target.
        extremes: (k, 3) voxel indices (z, y, x) in the box, about where the target ends.
        spacing_mm: (z, y, x) voxel size.
        parameters: how to expand.

    Returns:
        The seeds; the foreground points are always among them.
    """
    marked = np.zeros(image.shape[1:], dtype=bool)
    marked[tuple(points.T)] = True
    weight, backend, threshold = parameters.weight, parameters.backend, parameters.threshold
    assert threshold is not None  # set by the parameters themselves
    if parameters.rule == "paper":
        distance = geodesic_distance(image, marked, spacing_mm=spacing_mm, weight=weight, backend=backend)
        relative = (distance / max(float(distance.max()), 1e-12)).astype(np.float32)
        return BoxSeeds(relative, relative < threshold, np.zeros_like(marked))
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
    relative = (nearer / likely_volume(image, distance, extremes)).astype(np.float32)
    return BoxSeeds(relative, (relative < threshold) | marked, (relative > parameters.background) & ~marked)


def normalised(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Every channel in units of its own range, from the 10th to the 90th percentile, at most ten; (c, z, y, x)."""
    values = image.astype(np.float64)
    low, high = np.percentile(values, [10, 90], axis=(1, 2, 3), keepdims=True)
    span = np.where(high > low, high - low, np.ptp(values, axis=(1, 2, 3), keepdims=True))
    with np.errstate(over="ignore"):  # a range of next to nothing
        values = (values - low) / np.where(span > 0, span, 1)
    return np.clip(values, -10, 10).astype(np.float32)


def radius_in_box(shape: Sequence[int], extremes: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Distance from the middle of a box of ``shape``, 1 on an ellipsoid that touches its faces where the target does.

    Without ends it is the box's inscribed ellipsoid, and the corners are at sqrt(3). A target that lies obliquely in
    its box touches opposite faces near opposite corners: the ends' coordinates are correlated. With their correlations
    R about the middle the ellipsoid is

        x' S^-1 x = 1,        S = det(R) I + (1 - det(R)) R,        x in half edges

    det(R) is 1 without any correlation and 0 for ends in one plane, so that chance, with six ends, bends it little.

    Args:
        shape: of the box, (z, y, x).
        extremes: (k, 3) voxel indices (z, y, x) in the box; fewer than six do not say how the target lies.
    """
    halves = np.asarray(shape) / 2
    matrix = np.eye(3)
    if len(extremes) >= 6:
        ends = (extremes + 0.5) / halves - 1
        lengths = np.maximum(np.sqrt((ends**2).sum(axis=0)), 1e-6)
        correlations = (ends / lengths).T @ (ends / lengths)
        np.fill_diagonal(correlations, 1)
        chance = max(FLATTEST, float(np.linalg.det(correlations)))
        matrix = chance * np.eye(3) + (1 - chance) * correlations
    lines = [(np.arange(size) + 0.5) / half - 1 for size, half in zip(shape, halves, strict=True)]
    axes, inverse = np.meshgrid(*lines, indexing="ij", sparse=True), np.linalg.inv(matrix)
    squared = sum(inverse[i, j] * axes[i] * axes[j] for i in range(3) for j in range(3))
    return np.sqrt(squared).astype(np.float32)
