"""Whether a case is finished: every planned point is placed, and every class has been looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.annotation import INSIDE, places_in
from nnunet_paseg.points.formats.markups import PREVIEW, SKIPPED, ControlPoint, Markups, UnplacedPoint
from nnunet_paseg.points.formats.naming import ParsedName
from nnunet_paseg.points.formats.roles import NamedPoint, Names, parse_names
from nnunet_paseg.points.grid import Grid

ABSENT = "absent"

Groups = Mapping[tuple[str, int | None], Sequence[NamedPoint]]


@dataclass
class Classes:
    """What the points of a case state about its classes.

    Attributes:
        absent: Point that states that there is no target of a class, by class.
        all_named: Whether a point has a side or states an absence. Such a case states every class as one or the other.
    """

    absent: dict[str, ControlPoint | UnplacedPoint] = field(default_factory=dict)
    all_named: bool = False

    def check(self, found: set[str], class_names: Sequence[str], source: str) -> None:
        """Raise PasegError if a class is both present and absent, or has not been looked for.

        Args:
            found: Classes of the targets.
            class_names: Classes of the dataset.
            source: Point file, or folder of point files.
        """
        for name in sorted(found & set(self.absent)):
            raise PasegError(
                f"{self.absent[name]} states that class {name} is absent, but the case has a target of it: delete "
                "this point, or the target."
            )
        unknown = [name for name in class_names if name not in found and name not in self.absent]
        if self.all_named and unknown:
            raise PasegError(
                f"{source} has no target of class {', '.join(unknown)}, and does not state that it is absent: look for "
                f"it and click its points, or add a point called '{unknown[0]} {ABSENT}'."
            )


def take_absent(markups: Markups, class_names: Sequence[str], case: str) -> tuple[Markups, Classes]:
    """Return the points without those that state that a class is absent, and what these state.

    Points of an absent class that were planned, but not placed, are left out too.

    Args:
        markups: Points of the case.
        class_names: Classes of the dataset; a single class needs no name.
        case: Case identifier, which is ignored as the name of a list.

    Raises:
        PasegError: A name is unknown, or an absence has no class.
    """
    classes = Classes()
    points: list[ControlPoint] = []
    unplaced: list[UnplacedPoint] = []
    every: list[ControlPoint | UnplacedPoint] = [*markups.points, *markups.unplaced]
    for point in every:
        names = parse_names(point, class_names, case)
        classes.all_named |= names.own.direction is not None or names.role == ABSENT
        if names.role != ABSENT:
            if isinstance(point, ControlPoint):
                points.append(point)
            else:
                unplaced.append(point)
        elif names.class_name is None and len(class_names) > 1:
            raise PasegError(f"{point} does not name the class that is absent: call it '{class_names[0]} {ABSENT}'.")
        else:
            classes.absent.setdefault(names.class_name or class_names[0], point)
    planned = [point for point in unplaced if parse_names(point, class_names, case).class_name not in classes.absent]
    return Markups(points, markups.boxes, planned), classes


def check_placed(
    groups: Groups, unplaced: Sequence[tuple[UnplacedPoint, Names]], grid: Grid, class_names: Sequence[str], source: str
) -> None:
    """Raise PasegError if the case is not finished, and name every point that has not been placed.

    A target whose points have sides in their names needs one on every side. In other targets, points that were skipped
    count as not planned, and so does the point under the mouse unless it has a name.

    Args:
        groups: Placed points by class and number of their target.
        unplaced: Points that have not been placed, with their parsed names.
        grid: Grid of the image: a target in a single slice has no points above and below.
        class_names: Classes of the dataset.
        source: Point file, or folder of point files.
    """
    lacking: dict[str, list[str]] = {}
    targets: dict[tuple[str | None, int | None], list[tuple[UnplacedPoint, Names]]] = {key: [] for key in groups}
    for point, names in unplaced:
        class_name = names.class_name or (class_names[0] if len(class_names) == 1 else None)
        targets.setdefault((class_name, names.number), []).append((point, names))
    for (class_name, number), planned in targets.items():
        placed = groups.get((class_name, number), ()) if class_name is not None else ()
        places = places_in(grid) if _has_sides([*placed, *(names for _, names in planned)]) else ()
        there = {_place(names) for names in placed}
        missing = [place for place in places if place not in there]
        missing += [
            str(point.label or point.where)
            for point, names in planned
            if not names.own.direction
            and _place(names) not in places
            and point.status != SKIPPED
            and not _is_cursor(point, names)
        ]
        if missing:
            lacking[" ".join(str(word) for word in (class_name, number) if word is not None)] = missing
    if lacking:
        texts = [
            f"{target}: " * bool(target) + f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not placed"
            for target, missing in lacking.items()
        ]
        raise PasegError(
            f"{source}, {'; '.join(texts)}: click what is missing, or delete all points of a target that does not "
            "exist."
        )


def _has_sides(points: Sequence[Names]) -> bool:
    return any(names.own.direction for names in points)


def _place(names: Names) -> str | None:
    return names.own.direction or (None if names.role == "background" else INSIDE)


def _is_cursor(point: UnplacedPoint, names: Names) -> bool:
    return point.status == PREVIEW and names.own == ParsedName()
