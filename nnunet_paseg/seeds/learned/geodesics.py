"""Geodesic distances from the points of a target.

They tell the network what is connected to the foreground points without an edge between them, which would take it many
layers to find out.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from nnunet_paseg.seeds.learned.layout import FloatArray, interpolate

GRID = 24
"""Largest edge length, in voxels, of the grid on which the distances are computed: a finer one takes too long."""

WEIGHT = 0.95
"""Weight of the intensities against the length of a path, for intensities of :func:`inputs.normalised`."""

Points = npt.NDArray[np.floating]


def geodesic_maps(cube: FloatArray, *, foreground: Points, background: Points, context: int) -> FloatArray:
    """Return two maps of geodesic distances in an image.

    The first is the difference of the distances to the nearest foreground and to the nearest background point,
    relative to their sum: -1 at foreground, 1 at background points. The second is the distance to the nearest
    foreground point, relative to the median of the background points, less 1, at most 1.

    Args:
        cube: Normalised intensities (size, size, size).
        foreground: Coordinates (n, 3) in the cube, at least one point.
        background: Coordinates (m, 3) in the cube. Without any, the surroundings of the box take their place.
        context: Width of the surroundings of the box, in voxels.

    Returns:
        Maps (2, size, size, size).
    """
    size = len(cube)
    grid = min(size, GRID)
    graph = _graph(_resized(cube, grid))
    inside = _voxels(foreground, size, grid)
    outside = _voxels(background, size, grid) if len(background) else _surroundings(grid, context * grid // size)
    near, far = (
        csgraph.dijkstra(graph, directed=False, indices=sources, min_only=True).astype(np.float32)
        for sources in (inside, outside)
    )
    relative = 2 * near / np.maximum(near + far, 1e-6) - 1
    scaled = np.clip(near / max(float(np.median(near[outside])), 1e-6), 0, 2) - 1
    return np.stack([_resized(flat.reshape((grid,) * 3), size) for flat in (relative, scaled)])


def _resized(cube: FloatArray, size: int) -> FloatArray:
    if len(cube) == size:
        return cube
    for axis in range(3):
        length = cube.shape[axis]
        positions = (np.arange(size) + 0.5) / size * length - 0.5
        cube = interpolate(cube, axis, positions, max(1.0, length / size))
    return cube


def _voxels(points: Points, size: int, grid: int) -> npt.NDArray[np.int64]:
    """Return the flat indices on the grid of the voxels that contain the points."""
    places = np.clip(np.floor((points + 0.5) / size * grid).astype(np.int64), 0, grid - 1)
    return np.unique(np.ravel_multi_index(tuple(places.T), (grid,) * 3))


@functools.lru_cache(maxsize=4)
def _surroundings(grid: int, context: int) -> npt.NDArray[np.int64]:
    mask = np.ones((grid,) * 3, dtype=bool)
    mask[(slice(context, grid - context),) * 3] = False
    return np.flatnonzero(mask)


def _graph(cube: FloatArray) -> sparse.csr_matrix:
    """Return the 26-neighbour graph of an image, in which a step costs length / ((1 - w) + w / difference)."""
    values = cube.ravel().astype(np.float64)
    first, second, length = _edges(len(cube))
    cost = length / ((1 - WEIGHT) + WEIGHT / (np.abs(values[first] - values[second]) + 1e-5))
    return sparse.csr_matrix((cost, (first, second)), shape=(values.size,) * 2)


@functools.lru_cache(maxsize=4)
def _edges(size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return both ends and the length, in edges of the cube, of all steps to 13 of the 26 neighbours."""
    index = np.arange(size**3).reshape((size,) * 3)
    first, second, length = [], [], []
    for step in itertools.product((-1, 0, 1), repeat=3):
        if step <= (0, 0, 0):
            continue
        start = index[tuple(slice(max(0, -move), size - max(0, move)) for move in step)].ravel()
        end = index[tuple(slice(max(0, move), size - max(0, -move)) for move in step)].ravel()
        first.append(start)
        second.append(end)
        length.append(np.full(start.size, np.linalg.norm(step) / size))
    return np.concatenate(first), np.concatenate(second), np.concatenate(length)
