"""3D Slicer's markups, ``.mrk.json``: point lists and ROI boxes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import (
    NOT_PLACED,
    PLACED,
    STATUSES,
    Box,
    ControlPoint,
    Markups,
    UnplacedPoint,
    as_lps,
)
from nnunet_paseg.points.formats.text import read_text, shown
from nnunet_paseg.points.grid import FloatArray

POINT_LISTS = ("Fiducial", "PointList")
IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1]
MAX_MARKUPS = 10_000
"""A file with more points and boxes does not contain clicks."""


def read_mrk_json(path: Path) -> Markups:
    """Read the points and boxes of a markups file.

    Raises:
        PasegError: The file contains no markups, or a markup is neither a point list nor a box or not in millimetres.
    """
    markups, number = Markups(), 0
    for index, markup in enumerate(_objects(_parse(path), "markups", str(path)), start=1):
        where = f"{path}, markup {index}"
        kind = markup.get("type")
        _check_unit(markup.get("coordinateUnits", "mm"), where)
        if kind == "ROI":
            markups.boxes.append(_box(markup, where))
        elif kind in POINT_LISTS:
            points = _objects(markup, "controlPoints", where) if markup.get("controlPoints") is not None else []
            named = [(point, f"{path}, point {number + count}") for count, point in enumerate(points, start=1)]
            number += len(points)
            for point, who in named:
                if (status := _status(point, who)) == PLACED:
                    markups.points.append(_control_point(point, markup, who))
                else:
                    label, list_name = _text(point, "label", who), _text(markup, "name", who)
                    markups.unplaced.append(UnplacedPoint(status, label, list_name, who))
        else:
            raise PasegError(f"{where} is a '{shown(kind)}', neither a point list nor an ROI box: delete it.")
        if len(markups.points) + len(markups.boxes) + len(markups.unplaced) > MAX_MARKUPS:
            raise PasegError(f"{path} has more than {MAX_MARKUPS} points and boxes: remove it.")
    return markups


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(read_text(path), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        if isinstance(error, PasegError):
            raise
        raise _no_markups(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(content, dict):
        raise _no_markups(path, f"a {type(content).__name__} instead of an object")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object, none of which may occur twice."""
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"'{shown(key)}' occurs twice in one object")
        content[key] = value
    return content


def _objects(content: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    """Return the member of an object that is a list of objects."""
    objects = content.get(key)
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        raise _no_markups(where, f"'{key}' is {shown(objects)} instead of a list of objects")
    return objects


def _no_markups(where: Path | str, reason: str) -> PasegError:
    return PasegError(f"{where} is not a markups file ({shown(reason)}): save the points from 3D Slicer again.")


def _check_unit(unit: Any, where: str) -> None:
    # Either a plain unit or a DICOM code: value, scheme, meaning.
    if (unit[0] if isinstance(unit, list) and unit else unit) != "mm":
        raise PasegError(f"{where} is in {shown(unit)}, not in millimetres: save it in mm.")


def _status(point: Mapping[str, Any], where: str) -> str:
    """Return the status of a point; without one it has been placed, unless its position is an empty text."""
    status = point.get("positionStatus", NOT_PLACED if point.get("position") == "" else PLACED)
    if status not in STATUSES:
        raise PasegError(f"{where}: the position status is '{shown(status)}', not one of {STATUSES}: correct it.")
    return str(status)


def _control_point(point: Mapping[str, Any], markup: Mapping[str, Any], where: str) -> ControlPoint:
    position = as_lps(_numbers(point, "position", 3, where), _system(markup), where)
    return ControlPoint(position, _text(point, "label", where), _text(markup, "name", where), where)


def _box(markup: Mapping[str, Any], where: str) -> Box:
    if (shape := markup.get("roiType", "Box")) not in ("Box", "BoundingBox") or markup.get("insideOut"):
        raise PasegError(f"{where}: an ROI must be a box that is not inside out, not '{shown(shape)}': draw a box.")
    centre = markup
    if "center" not in markup:
        points = _objects(markup, "controlPoints", where)
        centre = {"center": points[0].get("position") if points else None}
    system = _system(markup)
    rows = _numbers({"orientation": IDENTITY, **markup}, "orientation", 9, where).reshape(3, 3)
    # Rows of the matrix are world axes, columns the box's: both are flipped row by row.
    axes = np.array([as_lps(axis, system, where) for axis in rows.T]).T
    return Box(
        as_lps(_numbers(centre, "center", 3, where), system, where),
        axes,
        _numbers(markup, "size", 3, where),
        _text(markup, "name", where),
        where,
    )


def _system(markup: Mapping[str, Any]) -> str:
    return str(markup.get("coordinateSystem", "LPS"))


def _text(content: Mapping[str, Any], key: str, where: str) -> str:
    text = content.get(key)
    if text is not None and not isinstance(text, str):
        raise PasegError(f"{where}: '{key}' is {shown(text)}, not text: save it from 3D Slicer again.")
    return text or ""


def _numbers(content: Mapping[str, Any], key: str, count: int, where: str) -> FloatArray:
    values = content.get(key)
    is_list = isinstance(values, list) and all(type(value) in (int, float) for value in values)
    try:
        numbers = np.array(values if is_list else [], dtype=np.float64)
    except OverflowError:  # an integer of hundreds of digits
        numbers = np.zeros(0)
    if numbers.shape != (count,):
        raise PasegError(f"{where}: '{key}' is {shown(values)}, not {count} numbers: save it from 3D Slicer again.")
    return numbers
