"""Grouping of named points and boxes into targets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.completeness import check_placed
from nnunet_paseg.points.formats.markups import Box, ControlPoint, Markups
from nnunet_paseg.points.formats.naming import ParsedName, parse_name
from nnunet_paseg.points.formats.roles import (
    NamedPoint,
    by_role,
    enclosed_by_others,
    instance_of,
    parse_names,
    positions_of,
)
from nnunet_paseg.points.formats.sides import check_sides
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance


def find_targets(
    markups: Markups, grid: Grid, class_names: Sequence[str], *, case: str = "", source: str = "The case"
) -> list[Instance]:
    """Group points and boxes into targets, in the order of the file.

    Points inside a box belong to the box. Any other unnamed point continues the target of the point before it. Points
    of one class and number form one target, or several targets of seven points if no point has a role.

    Args:
        markups: Points and boxes of the case.
        grid: Grid of the image, along whose axes points enclose.
        class_names: Classes of the dataset; a single class needs no name.
        case: Case identifier, which is ignored as the name of a list.
        source: Point file, or folder of point files, for messages.

    Raises:
        PasegError: A name is unknown or has no class, a point has not been placed or is on the wrong side, or the roles
            of the points cannot be inferred.
    """
    loose = [_name(point, class_names, case) for point in markups.points]
    instances = []
    for box, parsed, members in _members(markups.boxes, loose, class_names, case):
        taken = {id(point) for point in members}
        loose = [point for point in loose if id(point) not in taken]
        class_name = parsed.class_name or next((point.class_name for point in members if point.class_name), None)
        _check_members(box, members, grid)
        _check_counts(members)
        foreground, background = by_role(members, default="foreground")
        if not foreground:
            raise PasegError(
                f"{box} contains no foreground point: click at least one point inside the target, or remove the box."
            )
        if _enclose(foreground, background, grid):
            raise PasegError(
                f"{box} contains a target with outer points of its own, so either the box or these points may mark its "
                "faces: remove the box, or the outer points."
            )
        instances.append(
            Instance(
                class_name or _only(class_names, str(box)),
                positions_of(foreground),
                np.concatenate([box.corners(grid), positions_of(background)]),
            )
        )
    groups = _groups(loose, class_names)
    unplaced = [(point, parse_names(point, class_names, case)) for point in markups.unplaced]
    check_placed(groups, unplaced, grid, class_names, source)
    _check_numbers(groups)
    check_sides(groups.values(), grid)
    for group in groups.values():
        _check_counts(group)
    return instances + [
        instance_of(target, class_name, grid)
        for (class_name, _), group in groups.items()
        for target in _split(group, grid)
    ]


def _name(point: ControlPoint, class_names: Sequence[str], case: str) -> NamedPoint:
    names = parse_names(point, class_names, case)
    return NamedPoint(names.own, names.of_list, point)


def _check_members(box: Box, members: Sequence[NamedPoint], grid: Grid) -> None:
    """Raise PasegError if a box may contain whole targets: several, or points without role that may be all clicks.

    An ROI for cropping or display contains foreground and outer points alike, all of which would become foreground.
    """
    targets = {(p.class_name, p.number): p for p in members if p.class_name is not None or p.number is not None}
    if len(targets) > 1:
        first, second = list(targets.values())[:2]
        raise PasegError(
            f"{box} contains points of several targets, {first} and {second}: remove the box, or name it after the "
            "target that it marks."
        )
    unnamed = [point for point in members if not point.role]
    is_mixed = bool(unnamed) and any(point.role == "foreground" for point in members)
    if is_mixed or len(unnamed) >= _clicks(grid) - 1 or enclosed_by_others(unnamed, grid):
        raise PasegError(
            f"{box} contains {len(unnamed)} points without a role, so either the box or the points around it may mark "
            "the target: remove the one that does not, or add 'fg' to the names if all these points are inside it."
        )


def _enclose(foreground: Sequence[NamedPoint], background: Sequence[NamedPoint], grid: Grid) -> bool:
    """Return whether as many outer points as a target has enclose the foreground along every axis of the image."""
    if len(background) < _clicks(grid) - 1:
        return False
    inner, outer = (grid.to_voxels(positions_of(points)) for points in (foreground, background))
    is_between = (outer.min(axis=0) < inner.min(axis=0)) & (outer.max(axis=0) > inner.max(axis=0))
    return bool(is_between[np.array(grid.shape) > 1].all())


def _check_counts(group: Sequence[NamedPoint]) -> None:
    """Raise PasegError if numbers after roles ("fg1", "bg1", "fg2", "bg2") probably count targets, not points."""
    keys = Counter((point.role, point.of_list.count if point.own.count is None else point.own.count) for point in group)
    counts = {count for _, count in keys}
    if len(counts) > 1 and max(keys.values()) > 1:
        raise PasegError(
            f"{group[0]} to {group[-1]}: the numbers after fg and bg are the same for several points, so they may be "
            "numbers of targets: write these after the class ('tumor 2 fg'), or remove them."
        )


def _check_numbers(groups: dict[tuple[str, int | None], list[NamedPoint]]) -> None:
    """Raise PasegError if each number of a class belongs to one point, so that it probably counts points."""
    for name in dict.fromkeys(class_name for class_name, _ in groups):
        numbered = [
            group for (class_name, number), group in groups.items() if class_name == name and number is not None
        ]
        if len(numbered) > 1 and all(len(group) == 1 for group in numbered):
            raise PasegError(
                f"{numbered[0][0]} to {numbered[-1][0]}: the numbers in these {len(numbered)} names are numbers of "
                f"targets, each of which would have one point. If they number the points of one target, put a hyphen "
                f"before them ('{name}-1')."
            )


def _members(
    boxes: Sequence[Box], points: Sequence[NamedPoint], class_names: Sequence[str], case: str
) -> list[tuple[Box, ParsedName, list[NamedPoint]]]:
    """Return every box with its parsed name and the points inside it, unless their names contradict."""
    result: list[tuple[Box, ParsedName, list[NamedPoint]]] = []
    owners: dict[int, Box] = {}
    positions = positions_of(points)
    for box in boxes:
        parsed = parse_name(box.name, class_names, who=box.where, case=case)
        inside = [points[index] for index in np.flatnonzero(box.contains(positions)).tolist()]
        members = [
            point
            for point in inside
            if (parsed.class_name is None or point.class_name in (None, parsed.class_name))
            and (parsed.number is None or point.number in (None, parsed.number))
        ]
        for point in members:
            if (other := owners.setdefault(id(point), box)) is not box:
                raise PasegError(
                    f"{point} is in two boxes, {other} and {box}: remove the one that marks no target, or name boxes "
                    f"and points alike, e.g. '{class_names[0]} 1' and '{class_names[0]} 2'."
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
    size = _clicks(grid)
    if any(point.role for point in group) or len(group) % size:
        return [group]
    return [group[start : start + size] for start in range(0, len(group), size)]


def _clicks(grid: Grid) -> int:
    """Return the number of clicks of one target: one inside, and one outside each of its faces."""
    return 1 + 2 * sum(length > 1 for length in grid.shape)
