"""Points of a case as the page shows and changes them: JSON with voxels, checked when it comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.annotation import FOREGROUND, INSIDE, WORDS, Annotation, Click
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

INNER = (INSIDE, FOREGROUND)
"""Places of the clicks inside a target."""
MAX_TARGETS, MAX_CLICKS = 1000, 5000
"""More targets or clicks of a case are a mistake."""
MAX_NUMBER = 999_999_999


@dataclass(frozen=True)
class Target:
    """The clicks of one target.

    Attributes:
        class_name: Class of the dataset.
        number: Number of the target among those of its class.
        clicks: Clicks, placed or not.
    """

    class_name: str
    number: int
    clicks: tuple[Click, ...]

    @property
    def missing(self) -> list[str]:
        """Places of the clicks that have not been placed."""
        return [click.place for click in self.clicks if click.position is None]

    def instance(self) -> Instance:
        """Return the placed clicks."""
        placed = [click for click in self.clicks if click.position is not None]
        inside, outside = ([c.position for c in placed if (c.place in INNER) is inner] for inner in (True, False))
        return Instance(self.class_name, np.array(inside), np.array(outside))


def targets_of(annotation: Annotation) -> list[Target]:
    """Return the targets of a case, in the order of their first clicks."""
    groups: dict[tuple[str, int], list[Click]] = {}
    for click in annotation.clicks:
        groups.setdefault((click.class_name, click.number), []).append(click)
    return [Target(name, number, tuple(clicks)) for (name, number), clicks in groups.items()]


def state_of(annotation: Annotation, class_names: Sequence[str]) -> str:
    """Return "not begun", "partial", "done" or "no target"."""
    if not annotation.absent and all(click.position is None for click in annotation.clicks):
        return "not begun"
    if open_work(annotation, class_names):
        return "partial"
    return "done" if annotation.clicks else "no target"


def open_work(annotation: Annotation, class_names: Sequence[str]) -> list[str]:
    """Return a message for every target that lacks clicks, and for every class without a target."""
    work = [
        f"{target.class_name} {target.number}: {', '.join(target.missing)} not placed"
        for target in targets_of(annotation)
        if target.missing
    ]
    known = {click.class_name for click in annotation.clicks} | set(annotation.absent)
    return work + [f"{name}: no target, and not marked as absent" for name in class_names if name not in known]


def to_json(annotation: Annotation, grid: Grid) -> dict[str, Any]:
    """Return the points for the page, with the voxel (x, y, z) of every placed click."""

    def as_json(click: Click) -> dict[str, Any]:
        voxel = None if click.position is None else grid.to_voxels(click.position)[0][::-1].tolist()
        return {"place": click.place, "voxel": voxel, "position": click.position}

    return {
        "targets": [
            {"class": target.class_name, "number": target.number, "clicks": [as_json(c) for c in target.clicks]}
            for target in targets_of(annotation)
        ],
        "absent": list(annotation.absent),
    }


def from_json(content: Any, grid: Grid, class_names: Sequence[str]) -> Annotation:
    """Return the points that the page has sent.

    A click keeps its position while it stays in its voxel. Otherwise it gets the centre of the clicked voxel, so that
    rounding cannot move it to another one.

    Raises:
        PasegError: The content does not describe points of this case.
    """
    clicks: list[Click] = []
    seen = set()
    for entry in _list(content, "targets", MAX_TARGETS):
        name, number, entries = entry.get("class"), entry.get("number"), _list(entry, "clicks", MAX_CLICKS)
        if name not in class_names or type(number) is not int or not 1 <= number <= MAX_NUMBER or not entries:
            raise _invalid(f"the target {str(name)[:40]!r} {str(number)[:20]}")
        if (name, number) in seen:
            raise _invalid(f"two targets {name} {number}")
        seen.add((name, number))
        clicks += [_click(click, name, number, grid) for click in entries]
    absent = _list(content, "absent", len(class_names))
    for name in absent:
        if name not in class_names or any(click.class_name == name for click in clicks):
            raise _invalid(f"the absent class {str(name)[:40]!r}")
    if len(clicks) > MAX_CLICKS:
        raise PasegError(f"A case has at most {MAX_CLICKS} points.")
    return Annotation(tuple(clicks), tuple(name for name in class_names if name in absent))


def _click(entry: Mapping[str, Any], name: str, number: int, grid: Grid) -> Click:
    place, voxel, position = entry.get("place"), entry.get("voxel"), entry.get("position")
    if place not in WORDS:
        raise _invalid(f"the place {str(place)[:20]!r}")
    if voxel is None:
        return Click(name, number, place)
    if not (isinstance(voxel, list) and len(voxel) == 3 and all(type(index) is int for index in voxel)):
        raise _invalid(f"the voxel {str(voxel)[:40]}")
    if any(not 0 <= index < length for index, length in zip(voxel, grid.shape[::-1], strict=True)):
        raise PasegError(f"The voxel {voxel} (x, y, z) is outside the image of {list(grid.shape[::-1])}.")
    if isinstance(position, list) and len(position) == 3 and all(type(value) in (int, float) for value in position):
        x, y, z = (float(value) for value in position)
        if grid.to_voxels((x, y, z))[0][::-1].tolist() == voxel:
            return Click(name, number, place, (x, y, z))
    x, y, z = grid.to_world(voxel[::-1])[0].tolist()
    return Click(name, number, place, (x, y, z))


def _list(content: Any, key: str, longest: int) -> list[Any]:
    """Return the member of an object that is a list, of objects if it is not the list of absent classes."""
    entries = content.get(key) if isinstance(content, Mapping) else None
    kind = str if key == "absent" else Mapping
    if not isinstance(entries, list) or len(entries) > longest or not all(isinstance(e, kind) for e in entries):
        raise _invalid(f"'{key}' is no list of at most {longest} entries")
    return entries


def _invalid(reason: str) -> PasegError:
    return PasegError(f"The page has sent points that cannot be stored ({reason}): load it again.")
