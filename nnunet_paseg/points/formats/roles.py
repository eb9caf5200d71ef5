"""Foreground and background points of one target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import ControlPoint, UnplacedPoint
from nnunet_paseg.points.formats.naming import ParsedName, parse_name
from nnunet_paseg.points.grid import FloatArray, Grid, IntArray
from nnunet_paseg.points.instance import Instance

ROLE_HINT = "add 'fg' or 'bg' to the names of the points"
MAX_NAMED = 3
OTHER_ROLE = {"foreground": "background", "background": "foreground"}


@dataclass(frozen=True, eq=False)
class Names:
    """Parsed name of a point, and the parsed name of its list."""

    own: ParsedName
    of_list: ParsedName

    @property
    def class_name(self) -> str | None:
        return self.own.class_name or self.of_list.class_name

    @property
    def number(self) -> int | None:
        """Target number; the number of a list counts targets of the list's class only."""
        foreign = self.own.class_name is not None and self.of_list.class_name not in (None, self.own.class_name)
        return self.own.number if self.own.number is not None or foreign else self.of_list.number

    @property
    def role(self) -> str | None:
        return self.own.role or self.of_list.role


@dataclass(frozen=True, eq=False)
class NamedPoint(Names):
    """A control point with its names."""

    control_point: ControlPoint

    def __str__(self) -> str:
        return str(self.control_point)


def parse_names(point: ControlPoint | UnplacedPoint, class_names: Sequence[str], case: str) -> Names:
    """Return the parsed names of a point and of its list.

    Args:
        point: Point of a file.
        class_names: Classes of the dataset.
        case: Case identifier, which is ignored as a name.

    Raises:
        PasegError: A word of a name is unknown.
    """
    own = parse_name(point.label, class_names, who=point.where, case=case)
    if isinstance(point, ControlPoint) and point.number is not None:
        own = replace(own, number=point.number)
    if own.class_name and own.role and (own.number is not None or own.role == "absent"):
        # The list's name adds nothing: 3D Slicer calls a second list of the same name "tumor_1_1".
        return Names(own, ParsedName())
    of_list = parse_name(point.list_name, class_names, who=f"{point.where}, list", case=case, is_list=True)
    return Names(own, of_list)


def instance_of(target: list[NamedPoint], class_name: str, grid: Grid) -> Instance:
    """Build a target from its points.

    If no point has a role, the point that the others enclose is the foreground point. If only one role occurs, the
    points without role have the other one.

    Raises:
        PasegError: The roles of the points cannot be inferred.
    """
    roles = {point.role for point in target if point.role}
    if not roles:
        enclosed = enclosed_by_others(target, grid)
        if len(enclosed) != 1:
            some = [str(target[index]) for index in enclosed[:MAX_NAMED]] + ["..."] * (len(enclosed) > MAX_NAMED)
            found = f"{len(enclosed)} ({', '.join(some)})" if enclosed else "none"
            raise PasegError(
                f"{target[0]} to {target[-1]}: of these {len(target)} points of class '{class_name}' one should "
                f"be enclosed by the others, the foreground point, but {found} is. Click one point inside the target "
                f"and one just outside each of its six faces, or {ROLE_HINT}."
            )
        foreground, background = [target[enclosed[0]]], target[: enclosed[0]] + target[enclosed[0] + 1 :]
    else:
        default = OTHER_ROLE[roles.pop()] if len(roles) == 1 else None
        foreground, background = by_role(target, default=default)
    in_voxels = all(point.control_point.in_voxels for point in target)
    return Instance(class_name, positions_of(foreground), positions_of(background), in_voxels)


def by_role(target: Sequence[NamedPoint], *, default: str | None) -> tuple[list[NamedPoint], list[NamedPoint]]:
    """Return foreground and background points; points without a role have the default role."""
    sides: dict[str, list[NamedPoint]] = {"foreground": [], "background": []}
    for point in target:
        role = point.role or default
        if role is None:
            raise PasegError(f"{point} has no role, while others of its target are fg and bg: {ROLE_HINT}.")
        sides[role].append(point)
    return sides["foreground"], sides["background"]


def enclosed_by_others(target: Sequence[NamedPoint], grid: Grid) -> list[int]:
    """Return the indices of the points that are between the others along every axis of the image."""
    if len(target) < 2:
        return []
    voxels, last = grid.to_voxels(positions_of(target)), np.asarray(grid.shape) - 1
    ordered = np.sort(voxels, axis=0)
    # The outermost points of all others; a point that is outermost itself leaves the next one.
    low = np.where(voxels == ordered[0], ordered[1], ordered[0])
    high = np.where(voxels == ordered[-1], ordered[-2], ordered[-1])
    # Two outermost points at one face mean that a click may be missing elsewhere.
    doubled = ((_others_at(voxels, low) > 1) & (low > 0)) | ((_others_at(voxels, high) > 1) & (high < last))
    below, above = voxels > low, voxels < high
    strictly = (below & above & ~doubled).all(axis=1)
    # At the image's border there is no room for points outside the target.
    at_border = (below | (low == 0)) & (above | (high == last)) & (voxels >= low) & (voxels <= high) & ~doubled
    return np.flatnonzero(strictly if strictly.any() else at_border.all(axis=1)).tolist()


def _others_at(voxels: IntArray, planes: IntArray) -> IntArray:
    """Count, for every point and axis, the other points in a plane."""
    counts = np.zeros_like(voxels)
    for axis in range(3):
        present, number = np.unique(voxels[:, axis], return_counts=True)
        counts[:, axis] = number[np.searchsorted(present, planes[:, axis])]
    return counts - (voxels == planes)


def positions_of(target: Sequence[NamedPoint]) -> FloatArray:
    """Return positions, (n, 3) world LPS millimetres."""
    return np.array([point.control_point.position for point in target], dtype=np.float64).reshape(-1, 3)
