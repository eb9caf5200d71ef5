"""Points of a case from a file of any format, as the clicks that the page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.annotation import BACKGROUND, Annotation, clicks_of, places_in
from nnunet_paseg.points.directions import DIRECTIONS
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.annotation_file import read_annotation
from nnunet_paseg.points.grid import Grid


def read_document(path: Path, grid: Grid, class_names: Sequence[str], *, case: str) -> Annotation:
    """Read the points of a case.

    Points without sides in their names get them from their positions, if every side of the target has a point. A file
    without target states that all classes are absent.

    Raises:
        PasegError: The file cannot be read, or contains an unknown class.
    """
    if is_annotation(path, class_names):
        return read_annotation(path, class_names)
    instances = read_points(path, grid, class_names, case=case)
    for instance in instances:
        if instance.class_name not in class_names:
            raise PasegError(f"{path}: the class '{instance.class_name}' is not one of {list(class_names)}: add it.")
    clicks = clicks_of(instances, grid)
    sides = Counter((click.class_name, click.number) for click in clicks if click.place in DIRECTIONS)
    has_all = {target for target, count in sides.items() if count == len(places_in(grid)) - 1}
    named = [
        replace(click, place=BACKGROUND)
        if click.place in DIRECTIONS and (click.class_name, click.number) not in has_all
        else click
        for click in clicks
    ]
    return Annotation(tuple(named), () if instances else tuple(class_names))


def is_annotation(path: Path, class_names: Sequence[str]) -> bool:
    """Return whether a file contains nothing but clicks with class and place in their names, as the page writes it."""
    if not path.is_file() or not path.name.lower().endswith(".mrk.json"):
        return False
    try:
        read_annotation(path, class_names)
    except PasegError:
        return False
    return True
