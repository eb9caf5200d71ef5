"""Canonical grid: every target's box, whatever its size and spacing, becomes the same cube of voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """Cube of ``size`` voxels per axis whose inner part, without ``context`` voxels on all sides, is the target's box.

    Attributes:
        size: Edge length of the cube in voxels, a multiple of 8.
        context: Width of the surroundings on each side of the box, in voxels of the cube.
    """

    size: int = 32
    context: int = 4

    @property
    def inner(self) -> int:
        """Edge length of the box in voxels of the cube."""
        return self.size - 2 * self.context

    def centres(self, box: Sequence[slice]) -> list[npt.NDArray[np.float64]]:
        """Return the voxel coordinates (z, y, x) of the image at the centres of the cube's voxels, per axis."""
        places = (np.arange(self.size) - self.context + 0.5) / self.inner
        return [side.start - 0.5 + (side.stop - side.start) * places for side in box]

    def to_cube(self, points: npt.NDArray[np.integer], box: Sequence[slice]) -> npt.NDArray[np.float64]:
        """Return the coordinates in the cube of voxel indices (n, 3) of the image."""
        start = np.array([side.start for side in box])
        edges = np.array([side.stop - side.start for side in box])
        return np.asarray((points - start + 0.5) / edges * self.inner + self.context - 0.5, dtype=np.float64)

    def sample(self, image: npt.NDArray[np.floating], box: Sequence[slice]) -> FloatArray:
        """Resample the box and its surroundings to the cube, smoothed where voxels of the cube are the larger ones.

        Args:
            image: Intensities (z, y, x). Beyond its border the outermost voxels are repeated.
            box: Slices (z, y, x) of the box.

        Returns:
            Intensities (size, size, size).
        """
        sampled = np.asarray(image, dtype=np.float32)
        for axis, (positions, side) in enumerate(zip(self.centres(box), box, strict=True)):
            step = (side.stop - side.start) / self.inner
            sampled = interpolate(sampled, axis, positions, max(1.0, step))
        return sampled

    def restore(self, cube: FloatArray, shape: Sequence[int]) -> FloatArray:
        """Resample the inner part of a cube to the ``shape`` (z, y, x) of a box, linearly."""
        for axis, length in enumerate(shape):
            positions = (np.arange(length) + 0.5) / length * self.inner + self.context - 0.5
            cube = interpolate(cube, axis, positions, max(1.0, self.inner / length))
        return cube


def interpolate(volume: FloatArray, axis: int, positions: npt.NDArray[np.floating], width: float) -> FloatArray:
    """Interpolate a volume along one axis with a triangle of half-width ``width`` voxels, 1 being linear interpolation.

    Args:
        volume: Array of any shape.
        axis: Axis along which to interpolate.
        positions: Coordinates along the axis, in voxels. Beyond the ends the last voxel is repeated.
        width: Half-width of the triangle in voxels, at least 1.

    Returns:
        The volume, with one entry per position along ``axis``.
    """
    length = volume.shape[axis]
    reach = np.arange(-int(np.ceil(width)), int(np.ceil(width)) + 1)
    taps = np.floor(positions + 0.5).astype(int)[:, None] + reach
    weights = np.clip(1 - np.abs(taps - positions[:, None]) / width, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    # Only the voxels that are used: a box in a large image stays cheap.
    taps = np.clip(taps, 0, length - 1)
    first, last = int(taps.min()), int(taps.max())
    matrix = np.zeros((len(positions), last + 1 - first), dtype=np.float32)
    np.add.at(matrix, (np.arange(len(positions))[:, None], taps - first), weights)
    used = np.moveaxis(volume, axis, 0)[first : last + 1]
    result = matrix @ np.ascontiguousarray(used, dtype=np.float32).reshape(last + 1 - first, -1)
    return np.moveaxis(result.reshape(len(positions), *used.shape[1:]), 0, axis)
