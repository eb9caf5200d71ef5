"""From named points and boxes to targets: which points belong together, and of what class."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.marks import Box, Mark, Markings
from nnunet_paseg.points.formats.naming import Words, parse_name
from nnunet_paseg.points.formats.roles import Named, by_role, instance_of, positions_of
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance


def find_targets(markings: Markings, grid: Grid, class_names: Sequence[str], *, case: str = "") -> list[Instance]:
    """Targets of a case, in the order in which they were marked.

    Points inside a drawn box belong to it. The others: an unnamed point continues the target of the point before it;
    points of one class and number are one target, or several in sevens if no role is named; where none is named, the
    foreground point is the one that the others enclose.

    Args:
        markings: points and boxes of the case.
        grid: the image's grid, along whose axes points enclose.
        class_names: the dataset's classes; with a single one nobody needs to name it.
        case: the case's identifier, which says nothing as the name of a list.

    Raises:
        PasegError: a name that says too little or something unknown, or points whose roles cannot be told.
    """
    loose = [_name(mark, class_names, case) for mark in markings.marks]
    instances = []
    for box, words, members in _members(markings.boxes, loose, class_names, case):
        loose = [point for point in loose if point not in members]
        class_name = words.class_name or next((point.class_name for point in members if point.class_name), None)
        foreground, background = by_role(members, default="foreground")
        if not foreground:
            raise PasegError(f"{box} holds no foreground point: click at least one point inside the target.")
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
        for target in _sevens(group, grid)
    ]


def _name(mark: Mark, class_names: Sequence[str], case: str) -> Named:
    return Named(
        mark,
        parse_name(mark.label, class_names, who=mark.where, case=case),
        parse_name(mark.list_name, class_names, who=f"{mark.where}, list", case=case),
    )


def _members(
    boxes: Sequence[Box], points: Sequence[Named], class_names: Sequence[str], case: str
) -> list[tuple[Box, Words, list[Named]]]:
    """The points inside each box, unless its name or theirs says otherwise."""
    result: list[tuple[Box, Words, list[Named]]] = []
    for box in boxes:
        words = parse_name(box.name, class_names, who=box.where, case=case)
        members = [
            point
            for point in points
            if box.holds(point.mark.position)
            and (words.class_name is None or point.class_name in (None, words.class_name))
            and (words.number is None or point.number in (None, words.number))
        ]
        for other, _, taken in result:
            if shared := [point for point in members if point in taken]:
                raise PasegError(
                    f"{shared[0]} lies in two boxes, {other} and {box}: name boxes and points alike, e.g. "
                    f"'{class_names[0]} 1' and '{class_names[0]} 2'."
                )
        result.append((box, words, members))
    return result


def _groups(points: Sequence[Named], class_names: Sequence[str]) -> dict[tuple[str, int | None], list[Named]]:
    """Points by class and number; one that names neither continues the target of the point before it in its list."""
    groups: dict[tuple[str, int | None], list[Named]] = {}
    class_name: str | None = None
    number: int | None = None
    before: str | None = None
    for point in points:
        if point.mark.list_name != before:
            before = point.mark.list_name
            class_name, number = point.whole.class_name, point.whole.number
        # "tumor-9" only counts on in a list called "tumor".
        counts_on = (
            point.own.class_name in (None, class_name)
            and point.own.number is None
            and re.search(r"-\d+$", point.mark.label)
        )
        if (point.own.class_name is not None or point.own.number is not None) and not counts_on:
            class_name, number = point.own.class_name or class_name, point.number
        groups.setdefault((class_name or _only(class_names, str(point)), number), []).append(point)
    return groups


def _only(class_names: Sequence[str], who: str) -> str:
    if len(class_names) == 1:
        return class_names[0]
    raise PasegError(
        f"{who} names no class, and the dataset has {len(class_names)}: name it, or its list, after one of "
        f"{', '.join(class_names)}."
    )


def _sevens(group: list[Named], grid: Grid) -> list[list[Named]]:
    """One target, or several if nobody named a role and the points come in sevens (in a single slice: in fives)."""
    size = 1 + 2 * sum(n > 1 for n in grid.shape)
    if any(point.role for point in group) or len(group) % size:
        return [group]
    return [group[start : start + size] for start in range(0, len(group), size)]
