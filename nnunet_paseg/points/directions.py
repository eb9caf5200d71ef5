"""Sides of the patient, and the axes of an image along which they are."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from nnunet_paseg.points.grid import Grid, IntArray

DIRECTIONS: dict[str, tuple[int, int]] = {
    "left": (0, 1),
    "right": (0, -1),
    "anterior": (1, -1),
    "posterior": (1, 1),
    "inferior": (2, -1),
    "superior": (2, 1),
}
"""Axis (x, y, z) of world LPS coordinates and sign of every side, in the order of clicking. Left is the patient's."""
OPPOSITE = {
    name: other
    for name, (axis, sign) in DIRECTIONS.items()
    for other in DIRECTIONS
    if DIRECTIONS[other] == (axis, -sign)
}


def faces(grid: Grid) -> dict[str, tuple[int, int]]:
    """Return the axis (z, y, x) of the voxels and the sign of every side of the patient.

    The points of a target span a box along the axes of the image. In an oblique image, each axis belongs to the
    patient's axis that is nearest to it, and no two belong to the same one.

    Args:
        grid: Grid of the image.
    """
    # Rows are the world axes x, y and z, columns the image's axes z, y and x.
    cosines = np.reshape(grid.direction, (3, 3))[:, ::-1]
    world, voxel = linear_sum_assignment(-np.abs(cosines))
    axis_of = dict(zip(world.tolist(), voxel.tolist(), strict=True))
    return {
        name: (axis_of[axis], sign if cosines[axis, axis_of[axis]] > 0 else -sign)
        for name, (axis, sign) in DIRECTIONS.items()
    }


def voxels_beyond(side: tuple[int, int], voxel: IntArray, inside: IntArray) -> int:
    """Return by how many voxels an outer point is on the opposite side of a point inside its target; 0 if it is not.

    Args:
        side: Axis and sign of the point's side, as from :func:`faces`.
        voxel: Voxel (3,) of the outer point.
        inside: Voxels (n, 3) of the points inside, at least one.
    """
    axis, sign = side
    return max(0, int((sign * (inside[:, axis] - voxel[axis])).max()))
