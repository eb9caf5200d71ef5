"""The clicks of a case while it is annotated: some are not placed yet, and some classes are absent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from nnunet_paseg.points.directions import DIRECTIONS, faces
from nnunet_paseg.points.grid import FloatArray, Grid
from nnunet_paseg.points.instance import Instance

INSIDE, FOREGROUND, BACKGROUND = "inside", "foreground", "background"
PLACES = (INSIDE, *DIRECTIONS)
"""The seven clicks of a target, in the order of clicking."""
WORDS = {INSIDE: "in", FOREGROUND: "fg", BACKGROUND: "bg", **{name: f"out {name}" for name in DIRECTIONS}}


@dataclass(frozen=True)
class Click:
    """One click of a target, placed or not.

    Attributes:
        class_name: Class of the dataset.
        number: Number of the target among those of its class, from 1.
        place: One of :data:`PLACES`, or foreground or background for a further click.
        position: World LPS millimetres (x, y, z); None if the click has not been placed.
    """

    class_name: str
    number: int
    place: str
    position: tuple[float, float, float] | None = None

    @property
    def label(self) -> str:
        """Name of the point in a file, e.g. ``tumor 1 out left``."""
        return f"{self.class_name} {self.number} {WORDS[self.place]}"


@dataclass(frozen=True)
class Annotation:
    """The clicks of a case.

    Attributes:
        clicks: Clicks, placed or not.
        absent: Classes of which the case has no target, as its annotator states.
    """

    clicks: tuple[Click, ...] = ()
    absent: tuple[str, ...] = ()


def planned_clicks(class_name: str, number: int = 1, grid: Grid | None = None) -> tuple[Click, ...]:
    """Return the clicks of a target, none of them placed.

    Args:
        class_name: Class of the target.
        number: Number of the target.
        grid: Grid of the image; in a single slice, a target has no faces above and below. None stands for seven clicks.
    """
    return tuple(Click(class_name, number, place) for place in (PLACES if grid is None else places_in(grid)))


def places_in(grid: Grid) -> tuple[str, ...]:
    """Return the places of the clicks that a target needs in an image: seven, and five in a single slice."""
    return (INSIDE, *(name for name, (axis, _) in faces(grid).items() if grid.shape[axis] > 1))


def clicks_of(instances: Sequence[Instance], grid: Grid) -> tuple[Click, ...]:
    """Return the clicks of targets whose points have no names: each outer point gets the face that it lies in front of.

    Args:
        instances: Targets, numbered in their order within their class.
        grid: Grid of the image.
    """
    numbers: Counter[str] = Counter()
    clicks: list[Click] = []
    for instance in instances:
        numbers[instance.class_name] += 1
        inner = [INSIDE, *[FOREGROUND] * (len(instance.foreground) - 1)]
        outer = _faces_of(instance, grid)
        for names, points in ((inner, instance.foreground), (outer, instance.background)):
            clicks += [
                Click(instance.class_name, numbers[instance.class_name], name, (x, y, z))
                for name, (x, y, z) in zip(names, points.tolist(), strict=False)
            ]
    order = [*PLACES, FOREGROUND, BACKGROUND]
    return tuple(sorted(clicks, key=lambda c: (c.class_name, c.number, order.index(c.place))))


def _faces_of(instance: Instance, grid: Grid) -> list[str]:
    """Return the side of every outer point: together the points are as far out as possible."""
    result = [BACKGROUND] * len(instance.background)
    directions = {name: side for name, side in faces(grid).items() if grid.shape[side[0]] > 1}
    if not len(instance.foreground) or not result:
        return result
    offsets: FloatArray = grid.to_indices(instance.background) - grid.to_indices(instance.foreground).mean(axis=0)
    extents = np.maximum(np.ptp(offsets, axis=0), 1)
    distances = np.stack([offsets[:, axis] * sign / extents[axis] for axis, sign in directions.values()], axis=1)
    points, sides = linear_sum_assignment(-distances)
    for point, side in zip(points.tolist(), sides.tolist(), strict=True):
        if distances[point, side] > 0:
            result[point] = list(directions)[side]
    return result
