"""Estimated volume of a target: from the contrast in its box, and from its extreme points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

SMALLEST, LARGEST = 0.05, 0.45
"""Fractions of the box: targets that touch all six faces seldom fill less, and an ellipsoid fills 0.52 of its box."""

_NOISE = 2.5e-4
"""Variance that is added in units of the normalised image; keeps the logarithm finite."""


def likely_volume(
    image: npt.NDArray[Any], distance: npt.NDArray[np.floating], extremes: npt.NDArray[np.integer]
) -> float:
    """Estimate the volume: the geometric mean of :func:`contrast_volume` and :func:`shape_volume`.

    Their errors are nearly independent: other bright structures in the box mislead the first, hollow and branching
    shapes the second. Without extreme points the contrast alone counts.

    Args:
        image: Normalised intensities (c, z, y, x).
        distance: Distance (z, y, x) from the target's foreground points.
        extremes: Voxel indices (k, 3), (z, y, x), of the extreme points in the box; none for a drawn box.

    Returns:
        Number of voxels, at least 1.
    """
    contrast = contrast_volume(image, distance)
    return math.sqrt(contrast * shape_volume(extremes, distance.shape)) if len(extremes) else float(contrast)


def shape_volume(extremes: npt.NDArray[np.integer], shape: Sequence[int]) -> float:
    """Estimate the volume of a target that touches the faces of its box at ``extremes``.

    An ellipsoid along the axes touches the faces at their centres and fills pi / 6 of the box. A thin or bent target on
    the diagonal touches them near the corners and fills almost nothing. In between, with the mean distance ``d`` of
    the extreme points from the face centres, in edge lengths, the volume is

        pi / 6 * (1 - 2 d)

    Args:
        extremes: Voxel indices (k, 3), (z, y, x), in the box.
        shape: Shape (z, y, x) of the box.

    Returns:
        Number of voxels, at least :data:`SMALLEST` of the box and at least 1.
    """
    places = np.abs((extremes + 0.5) / np.asarray(shape) - 0.5)
    across = np.sort(places, axis=1)[:, :-1]  # without the axis that is normal to the face
    aside = float(np.sqrt((across**2).sum(axis=1)).mean())
    return max(1.0, max(SMALLEST, math.pi / 6 * (1 - 2 * aside)) * math.prod(shape))


def contrast_volume(image: npt.NDArray[Any], distance: npt.NDArray[np.floating]) -> int:
    """Return the number of nearest voxels that differ most from all others.

    With the voxels sorted by distance, every split into near and far gets the negative log-likelihood of both parts,
    each under its own normal distribution,

        n_near * log(var_near) + n_far * log(var_far)

    summed over the channels. The split with the smallest score is returned.

    Args:
        image: Normalised intensities (c, z, y, x), clipped to [-0.5, 1].
        distance: Distance (z, y, x) from the target's foreground points.

    Returns:
        Number of voxels, between :data:`SMALLEST` and :data:`LARGEST` of the box; 1 in boxes of a few voxels.
    """
    order = np.argsort(distance, axis=None, kind="stable")
    values = np.clip(image.reshape(len(image), -1)[:, order].astype(np.float64), -0.5, 1)
    size = values.shape[1]
    first, last = max(1, round(SMALLEST * size)), round(LARGEST * size)
    if last <= first:
        return 1
    near = np.arange(1, size)
    sums, squares = np.cumsum(values, axis=1), np.cumsum(values**2, axis=1)
    score = np.zeros(size - 1)
    for channel in range(len(values)):
        total, total_squares = sums[channel, -1], squares[channel, -1]
        for count, part, part_squares in (
            (near, sums[channel, :-1], squares[channel, :-1]),
            (size - near, total - sums[channel, :-1], total_squares - squares[channel, :-1]),
        ):
            variance = np.maximum(part_squares / count - (part / count) ** 2, 0)
            score += count * np.log(variance + _NOISE)
    return first + int(np.argmin(score[first - 1 : last]))
