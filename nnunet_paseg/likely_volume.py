"""How large a target probably is: where along a distance its box falls best into two parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SMALLEST, LARGEST = 0.05, 0.45
"""Of the box: what touches all six faces seldom fills less, and an ellipsoid fills 0.52 of a box without margin."""

_NOISE = 1e-3
"""Variance below which differences do not count, in units of the normalised image; keeps the logarithm finite."""


def likely_volume(image: npt.NDArray[Any], distance: npt.NDArray[np.floating]) -> int:
    """Number of nearest voxels that differ most from all others.

    With the voxels in the order of their distance, every split into near and far is scored by the likelihood of both
    parts under a normal distribution of their own,

        n_near * log(var_near) + n_far * log(var_far)

    summed over the channels, and the smallest score wins.

    Args:
        image: (c, z, y, x), normalised: values beyond [-1, 2] are taken for these.
        distance: (z, y, x) from the target's foreground points.

    Returns:
        Between :data:`SMALLEST` and :data:`LARGEST` of the box; 1 in boxes of a few voxels.
    """
    order = np.argsort(distance, axis=None, kind="stable")
    values = np.clip(image.reshape(len(image), -1)[:, order].astype(np.float64), -1, 2)
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
