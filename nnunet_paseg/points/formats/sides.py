"""Outer points whose names contain a side of the patient: they are on that side of their target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.directions import OPPOSITE, faces, voxels_beyond
from nnunet_paseg.points.formats.roles import NamedPoint, positions_of
from nnunet_paseg.points.grid import Grid


def check_sides(targets: Iterable[Sequence[NamedPoint]], grid: Grid) -> None:
    """Raise PasegError if a point is on the opposite side of a point inside its target, and name every such point.

    Sides are those of the image's axes, along which the points of a target span its box.

    Args:
        targets: Points of every target.
        grid: Grid of the image.
    """
    side_of = faces(grid)
    wrong = []
    for target in targets:
        inner = [point for point in target if point.role != "background"]
        if not inner:
            continue
        inside = grid.to_voxels(positions_of(inner))
        for point in target:
            if point.own.direction is None:
                continue
            voxel = grid.to_voxels(positions_of([point]))[0]
            if beyond := voxels_beyond(side_of[point.own.direction], voxel, inside):
                wrong.append(f"{point} is {beyond} voxels {OPPOSITE[point.own.direction]} of a point inside its target")
    if wrong:
        raise PasegError(
            f"{'; '.join(wrong)}: move the point, or exchange the names. Left is the patient's left, and the sides are "
            "those of the image's axes."
        )
