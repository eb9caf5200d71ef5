"""How large a target probably is: by what the box holds, and by where the target touches it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

SMALLEST, LARGEST = 0.05, 0.45
"""Of the box: what touches all six faces seldom fills less, and an ellipsoid fills 0.52 of a box without margin."""

_NOISE = 2.5e-4
"""Variance below which differences do not count, in units of the normalised image; keeps the logarithm finite."""


def likely_volume(
    image: npt.NDArray[Any], distance: npt.NDArray[np.floating], extremes: npt.NDArray[np.integer]
) -> float:
    """Geometric mean of :func:`contrast_volume` and, where the ends were clicked, :func:`shape_volume`.

    Their errors have little to do with each other: the first is misled by what else is bright in the box, the second
    by hollow and branching shapes.

    Args:
        image: (c, z, y, x), normalised.
        distance: (z, y, x) from the target's foreground points.
        extremes: (k, 3) voxel indices (z, y, x) in the box, about where the target ends; none for a drawn box.

    Returns:
        Voxels, at least 1.
    """
    contrast = contrast_volume(image, distance)
    return math.sqrt(contrast * shape_volume(extremes, distance.shape)) if len(extremes) else float(contrast)


def shape_volume(extremes: npt.NDArray[np.integer], shape: Sequence[int]) -> float:
    """Voxels of a target that touches the faces of its box at ``extremes``.

    An ellipsoid along the axes touches them in their middles and fills pi / 6 of the box; a thin or bent target on the
    diagonal touches them near the corners and fills next to nothing. In between, with the mean distance ``d`` of the
    extremes from the middles of their faces, in edges, this is

        pi / 6 * (1 - 2 d)

    Args:
        extremes: (k, 3) voxel indices (z, y, x) in the box.
        shape: of the box.

    Returns:
        At least :data:`SMALLEST` of the box, at least 1.
    """
    places = np.abs((extremes + 0.5) / np.asarray(shape) - 0.5)
    across = np.sort(places, axis=1)[:, :-1]  # without the axis of the face itself
    aside = float(np.sqrt((across**2).sum(axis=1)).mean())
    return max(1.0, max(SMALLEST, math.pi / 6 * (1 - 2 * aside)) * math.prod(shape))


def contrast_volume(image: npt.NDArray[Any], distance: npt.NDArray[np.floating]) -> int:
    """Number of nearest voxels that differ most from all others.

    With the voxels in the order of their distance, every split into near and far is scored by the likelihood of both
    parts under a normal distribution of their own,

        n_near * log(var_near) + n_far * log(var_far)

    summed over the channels, and the smallest score wins.

    Args:
        image: (c, z, y, x), normalised: values beyond [-0.5, 1] are taken for these.
        distance: (z, y, x) from the target's foreground points.

    Returns:
        Between :data:`SMALLEST` and :data:`LARGEST` of the box; 1 in boxes of a few voxels.
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
