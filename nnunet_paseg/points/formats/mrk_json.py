"""3D Slicer's markups, ``.mrk.json``: point lists and ROI boxes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import Box, ControlPoint, Markups, as_lps, point_at
from nnunet_paseg.points.formats.text import read_text
from nnunet_paseg.points.grid import FloatArray

POINT_LISTS = ("Fiducial", "PointList")
IDENTITY = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def read_mrk_json(path: Path) -> Markups:
    """Read the points and boxes of a markups file.

    Points without a position (planned but not placed) are left out.

    Raises:
        PasegError: The file contains no markups, a markup is neither a point list nor a box or not in millimetres, or
            no point of a list has been placed.
    """
    try:
        content = json.loads(read_text(path))
        saved = content["markups"]
        if not all(isinstance(markup, dict) for markup in saved):
            raise TypeError("markups")
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, PasegError):
            raise
        raise PasegError(f"{path} is not a markups file ({error!r}): save the points from 3D Slicer again.") from error
    markups, number = Markups(), 0
    for index, markup in enumerate(saved, start=1):
        where = f"{path}, markup {index}"
        kind = markup.get("type")
        _check_unit(markup.get("coordinateUnits", "mm"), where)
        if kind == "ROI":
            markups.boxes.append(_box(markup, where))
        elif kind in POINT_LISTS:
            points = markup.get("controlPoints") or []
            placed = []
            for point in points:
                number += 1
                if point.get("positionStatus", "defined") == "defined" and point.get("position", "") != "":
                    placed.append(_control_point(point, markup, point_at(path, number)))
            if points and not placed:
                raise PasegError(
                    f"{where}: none of its {len(points)} points has been placed: place them, or delete them."
                )
            markups.points += placed
        else:
            raise PasegError(f"{where} is a '{kind}', neither a point list nor an ROI box: delete it.")
    return markups


def _check_unit(unit: Any, where: str) -> None:
    # Either a plain unit or a DICOM code: value, scheme, meaning.
    if (unit[0] if isinstance(unit, list) and unit else unit) != "mm":
        raise PasegError(f"{where} is in {unit}, not in millimetres: save it in mm.")


def _control_point(point: Mapping[str, Any], markup: Mapping[str, Any], where: str) -> ControlPoint:
    position = as_lps(_numbers(point, "position", 3, where), str(markup.get("coordinateSystem", "LPS")), where)
    return ControlPoint(position, str(point.get("label") or ""), str(markup.get("name") or ""), where)


def _box(markup: Mapping[str, Any], where: str) -> Box:
    if (shape := markup.get("roiType", "Box")) not in ("Box", "BoundingBox") or markup.get("insideOut"):
        raise PasegError(f"{where}: an ROI must be a box that is not inside out, not '{shape}': draw a box.")
    system = str(markup.get("coordinateSystem", "LPS"))
    points = markup.get("controlPoints") or [{}]
    centre = markup if "center" in markup else {"center": points[0].get("position")}
    # Rows of the matrix are world axes, columns the box's: both are flipped row by row.
    axes = np.array([as_lps(axis, system, where) for axis in _axes(markup, where).T]).T
    return Box(
        as_lps(_numbers(centre, "center", 3, where), system, where),
        axes,
        _numbers(markup, "size", 3, where),
        str(markup.get("name") or ""),
        where,
    )


def _axes(markup: Mapping[str, Any], where: str) -> FloatArray:
    return _numbers({"orientation": IDENTITY, **markup}, "orientation", 9, where).reshape(3, 3)


def _numbers(content: Mapping[str, Any], key: str, count: int, where: str) -> FloatArray:
    try:
        numbers = np.array(content[key], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != (count,):
        raise PasegError(f"{where}: '{key}' is {content.get(key)}, not {count} numbers: save it from 3D Slicer again.")
    return numbers
