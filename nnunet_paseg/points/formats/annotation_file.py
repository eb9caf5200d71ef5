"""Annotations as one point list, ``.mrk.json``, which 3D Slicer opens and saves without loss.

3D Slicer keeps of a list only the labels, descriptions and statuses of its control points, so everything is in them.
The class, the number and the place of a click are in its label (``tumor 1 out left``), its status is ``undefined``
until it is placed. An absent class is a point ``edema absent`` of status ``missing``, which is never placed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import write_json
from nnunet_paseg.points.annotation import BACKGROUND, FOREGROUND, INSIDE, PLACES, Annotation, Click
from nnunet_paseg.points.directions import DIRECTIONS
from nnunet_paseg.points.formats.markups import NOT_PLACED, PLACED, SKIPPED, ControlPoint, UnplacedPoint, check_position
from nnunet_paseg.points.formats.mrk_json import read_mrk_json
from nnunet_paseg.points.formats.naming import ParsedName, parse_name, plain

DESCRIPTIONS = {
    INSIDE: "in the middle of the target",
    **{name: f"just outside, {name} to the target" for name in DIRECTIONS},
    "left": "just outside, on the patient's left of the target",
    "right": "just outside, on the patient's right of the target",
    FOREGROUND: "further point inside the target",
    BACKGROUND: "further point outside the target",
}
SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
"""Identifier without which 3D Slicer opens no markups file."""


def check_labels(class_names: Sequence[str]) -> None:
    """Raise PasegError if the label of a click would be read as one of a different class, number or place.

    Args:
        class_names: Classes of the dataset.
    """
    for name in class_names:
        for place in PLACES:
            label = Click(name, 1, place).label
            role = FOREGROUND if place == INSIDE else BACKGROUND
            parsed = parse_name(label, class_names, who=f"The class '{name}'")
            if parsed != ParsedName(name, 1, role, place if place in DIRECTIONS else None):
                raise PasegError(
                    f"The point '{label}' of class '{name}' would be read as one of class '{parsed.class_name}': "
                    "rename one of the classes."
                )


def write_annotation(annotation: Annotation, path: Path, *, fixed: bool = False) -> None:
    """Write an annotation atomically, as a point list that 3D Slicer opens.

    Args:
        annotation: Clicks and absent classes.
        path: File, ``.mrk.json``.
        fixed: Whether 3D Slicer offers these points in turn and no further ones.

    Raises:
        PasegError: A coordinate is not a finite number.
    """
    points = [_control_point(click.label, DESCRIPTIONS[click.place], click.position) for click in annotation.clicks]
    points += [
        _control_point(f"{name} absent", f"the case has no target of class {name}", None, SKIPPED)
        for name in annotation.absent
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "fixedNumberOfControlPoints": fixed,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": [{"id": str(number), **point} for number, point in enumerate(points, start=1)],
    }
    write_json({"@schema": SCHEMA, "markups": [markup]}, path)


def _control_point(
    label: str, description: str, position: tuple[float, float, float] | None, status: str = NOT_PLACED
) -> dict[str, Any]:
    if position is not None:
        check_position(np.asarray(position, dtype=np.float64), f"The point '{label}'")
    return {
        "label": label,
        "description": description,
        "position": "" if position is None else [float(value) for value in position],
        "positionStatus": status if position is None else PLACED,
    }


def read_annotation(path: Path, class_names: Sequence[str]) -> Annotation:
    """Read an annotation, whether it is finished or not.

    Args:
        path: File, ``.mrk.json``, all of whose labels contain class and role.
        class_names: Classes of the dataset.

    Returns:
        Clicks, ordered by class, number and place. A target without a click called ``in`` has the first one inside it.

    Raises:
        PasegError: The file is no point list, or a label does not contain class and role.
    """
    markups = read_mrk_json(path)
    if markups.boxes:
        raise PasegError(f"{markups.boxes[0]} is a box: an annotation has points only.")
    clicks: list[Click] = []
    absent: dict[str, None] = {}
    points: list[ControlPoint | UnplacedPoint] = [*markups.points, *markups.unplaced]
    for point in points:
        parsed = parse_name(point.label, class_names, who=point.where)
        if parsed.class_name is None or parsed.role is None:
            raise PasegError(
                f"{point}: the label does not contain class and role: rename the point, for example "
                f"'{Click(class_names[0], 1, INSIDE).label}'."
            )
        if parsed.role == "absent":
            absent[parsed.class_name] = None
            continue
        position = None
        if isinstance(point, ControlPoint):
            x, y, z = point.position.tolist()
            position = (x, y, z)
        click = Click(
            parsed.class_name,
            1 if parsed.number is None else parsed.number,
            parsed.direction or parsed.role,
            position,
        )
        clicks.append(_named_inside(click) if plain(point.label) == plain(_named_inside(click).label) else click)
    return Annotation(tuple(_in_order(clicks, class_names)), tuple(absent))


def _named_inside(click: Click) -> Click:
    return replace(click, place=INSIDE)


def _in_order(clicks: Sequence[Click], class_names: Sequence[str]) -> list[Click]:
    places, with_inside = [*PLACES, FOREGROUND, BACKGROUND], {c.label for c in clicks if c.place == INSIDE}
    named = []
    for click in clicks:
        inside = _named_inside(click)
        is_first = click.place == FOREGROUND and inside.label not in with_inside
        with_inside |= {inside.label} if is_first else set()
        named.append(inside if is_first else click)
    order = list(class_names)
    return sorted(named, key=lambda click: (order.index(click.class_name), click.number, places.index(click.place)))
