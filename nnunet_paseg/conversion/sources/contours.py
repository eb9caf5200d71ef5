"""Rasterisation of planar contours of radiotherapy to a mask on an image's grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.path import Path as Polygon
from scipy import ndimage

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import Grid

FloatArray = npt.NDArray[np.float64]
SAME_PLANE = 0.25
"""Contours nearer than this, in slices, are on one plane. A plane nearer than this to a slice is used unchanged."""
MAX_GAP = 1.5
"""Planes farther apart than this multiple of the median distance are not connected."""


def rasterise(contours: Sequence[FloatArray], grid: Grid) -> npt.NDArray[np.uint8]:
    """Return the mask of a structure from its closed contours.

    A voxel belongs to the structure if its centre is inside an odd number of its plane's contours, so that inner
    contours are holes. Slices between two planes are the linear interpolation of the planes' signed distances. A plane
    at either end extends half a slice beyond itself.

    Args:
        contours: Closed contours, (n, 3) points each, world LPS millimetres, nearly parallel to the image's slices.
        grid: Grid of the image.

    Returns:
        (z, y, x) mask of 0 and 1.

    Raises:
        PasegError: A contour crosses slices, or the contours enclose no voxel of the image.
    """
    if not all(np.isfinite(contour).all() for contour in contours):
        raise PasegError("A contour has a point that is no number: export the contours again.")
    planes = _planes([grid.to_indices(contour) for contour in contours if len(contour) >= 3], grid.shape[1:])
    mask = np.zeros(grid.shape, dtype=np.uint8)
    levels = np.array([level for level, _ in planes])
    usual = float(np.median(np.diff(levels))) if len(levels) > 1 else 1.0
    for index in range(grid.shape[0]):
        mask[index] = _slice(index, planes, levels, usual * MAX_GAP)
    if not mask.any():
        raise PasegError(
            f"None of the {len(contours)} contours contains the centre of a voxel of the image: check that they "
            "belong to this image."
        )
    return mask


def _planes(contours: Sequence[FloatArray], shape: tuple[int, ...]) -> list[tuple[float, npt.NDArray[np.bool_]]]:
    """Return level (in slices) and mask of every plane, from the first to the last."""
    planes: list[tuple[float, npt.NDArray[np.bool_]]] = []
    for points in sorted(contours, key=lambda points: float(points[:, 0].mean())):
        if np.ptp(points[:, 0]) > 1:
            raise PasegError(
                f"A contour crosses {np.ptp(points[:, 0]):.1f} slices of the image: only contours parallel to the "
                "slices can be converted."
            )
        level, inside = float(points[:, 0].mean()), _fill(points[:, 1:], shape)
        if planes and level - planes[-1][0] <= SAME_PLANE:
            planes[-1] = (planes[-1][0], planes[-1][1] ^ inside)
        else:
            planes.append((level, inside))
    return planes


def _fill(polygon: FloatArray, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return the mask of the pixels (y, x) whose centre is inside a polygon of (y, x) vertices."""
    inside = np.zeros(shape, dtype=bool)
    low = np.clip(np.floor(polygon.min(axis=0)).astype(int), 0, shape)
    high = np.clip(np.ceil(polygon.max(axis=0)).astype(int) + 1, 0, shape)
    rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]]
    centres = np.stack([rows.ravel(), columns.ravel()], axis=1)
    if len(centres):
        closed = Polygon(np.concatenate([polygon, polygon[:1]]), closed=True)
        inside[low[0] : high[0], low[1] : high[1]] = closed.contains_points(centres).reshape(rows.shape)
    return inside


def _slice(
    index: int, planes: Sequence[tuple[float, npt.NDArray[np.bool_]]], levels: FloatArray, max_gap: float
) -> npt.NDArray[Any] | bool:
    if not len(levels):
        return False
    nearest = int(np.abs(levels - index).argmin())
    away = abs(levels[nearest] - index)
    above = int(np.searchsorted(levels, index))
    between = 0 < above < len(levels) and levels[above] - levels[above - 1] <= max(max_gap, 1)
    if away > SAME_PLANE and between:
        low, high = planes[above - 1][1], planes[above][1]
        if low.any() and high.any():
            share = (index - levels[above - 1]) / (levels[above] - levels[above - 1])
            return np.asarray((1 - share) * _signed_distance(low) + share * _signed_distance(high) > 0)
    return planes[nearest][1] if away <= 0.5 else False


def _signed_distance(inside: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the distance from the edge in pixels, positive inside."""
    padded = np.pad(inside, 1)
    inner, outer = ndimage.distance_transform_edt(padded), ndimage.distance_transform_edt(~padded)
    return np.asarray((inner - outer)[1:-1, 1:-1])
