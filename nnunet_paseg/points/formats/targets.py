"""Grouping of named points and boxes into targets."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import Box, ControlPoint, Markups
from nnunet_paseg.points.formats.naming import ParsedName, parse_name
from nnunet_paseg.points.formats.roles import NamedPoint, by_role, instance_of, positions_of
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance


def find_targets(markups: Markups, grid: Grid, class_names: Sequence[str], *, case: str = "") -> list[Instance]:
    """Group points and boxes into targets, in the order of the file.

    Points inside a box belong to the box. Any other unnamed point continues the target of the point before it. Points
    of one class and number form one target, or several targets of seven points if no point has a role.

    Args:
        markups: Points and boxes of the case.
        grid: Grid of the image, along whose axes points enclose.
        class_names: Classes of the dataset; a single class needs no name.
        case: Case identifier, which is ignored as the name of a list.

    Raises:
        PasegError: A name is unknown or has no class, or the roles of the points cannot be inferred.
    """
    loose = [_name(point, class_names, case) for point in markups.points]
    instances = []
    for box, parsed, members in _members(markups.boxes, loose, class_names, case):
        loose = [point for point in loose if point not in members]
        class_name = parsed.class_name or next((point.class_name for point in members if point.class_name), None)
        foreground, background = by_role(members, default="foreground")
        if not foreground:
            raise PasegError(f"{box} contains no foreground point: click at least one point inside the target.")
        instances.append(
            Instance(
                class_name or _only(class_names, str(box)),
                positions_of(foreground),
                np.concatenate([box.corners(grid), positions_of(background)]),
            )
        )
    return instances + [
        instance_of(target, class_name, grid)
        for (class_name, _), group in _groups(loose, class_names).items()
        for target in _split(group, grid)
    ]


def _name(point: ControlPoint, class_names: Sequence[str], case: str) -> NamedPoint:
    return NamedPoint(
        point,
        parse_name(point.label, class_names, who=point.where, case=case),
        parse_name(point.list_name, class_names, who=f"{point.where}, list", case=case),
    )


def _members(
    boxes: Sequence[Box], points: Sequence[NamedPoint], class_names: Sequence[str], case: str
) -> list[tuple[Box, ParsedName, list[NamedPoint]]]:
    """Return every box with its parsed name and the points inside it, unless their names contradict."""
    result: list[tuple[Box, ParsedName, list[NamedPoint]]] = []
    for box in boxes:
        parsed = parse_name(box.name, class_names, who=box.where, case=case)
        members = [
            point
            for point in points
            if box.contains(point.control_point.position)
            and (parsed.class_name is None or point.class_name in (None, parsed.class_name))
            and (parsed.number is None or point.number in (None, parsed.number))
        ]
        for other, _, taken in result:
            if shared := [point for point in members if point in taken]:
                raise PasegError(
                    f"{shared[0]} is in two boxes, {other} and {box}: name boxes and points alike, e.g. "
                    f"'{class_names[0]} 1' and '{class_names[0]} 2'."
                )
        result.append((box, parsed, members))
    return result


def _groups(points: Sequence[NamedPoint], class_names: Sequence[str]) -> dict[tuple[str, int | None], list[NamedPoint]]:
    """Group points by class and number; a point without both continues the target of the point before it."""
    groups: dict[tuple[str, int | None], list[NamedPoint]] = {}
    class_name: str | None = None
    number: int | None = None
    before: str | None = None
    for point in points:
        if point.control_point.list_name != before:
            before = point.control_point.list_name
            class_name, number = point.of_list.class_name, point.of_list.number
        # The tool numbers the points of a list called "tumor": "tumor-9" starts no target.
        continues = (
            point.own.class_name in (None, class_name)
            and point.own.number is None
            and re.search(r"-\d+$", point.control_point.label)
        )
        if (point.own.class_name is not None or point.own.number is not None) and not continues:
            class_name, number = point.own.class_name or class_name, point.number
        groups.setdefault((class_name or _only(class_names, str(point)), number), []).append(point)
    return groups


def _only(class_names: Sequence[str], who: str) -> str:
    if len(class_names) == 1:
        return class_names[0]
    raise PasegError(
        f"{who} has no class name, and the dataset has {len(class_names)} classes: name it, or its list, after one of "
        f"{', '.join(class_names)}."
    )


def _split(group: list[NamedPoint], grid: Grid) -> list[list[NamedPoint]]:
    """Split points without roles into targets of seven points (in a single slice: of five)."""
    size = 1 + 2 * sum(n > 1 for n in grid.shape)
    if any(point.role for point in group) or len(group) % size:
        return [group]
    return [group[start : start + size] for start in range(0, len(group), size)]
