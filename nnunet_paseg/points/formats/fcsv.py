"""3D Slicer's older fiducial lists, ``.fcsv``."""

from __future__ import annotations

import re
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import ControlPoint, Markups, as_lps, point_at
from nnunet_paseg.points.formats.text import coordinates, read_text, rows

UNDEFINED = "0"


def read_fcsv(path: Path) -> Markups:
    """Read the points of a fiducial list.

    Raises:
        PasegError: The coordinate system or the columns are missing, or a coordinate is not a number.
    """
    lines = read_text(path).splitlines()
    matches = [re.match(r"#\s*(\w+)\s*=\s*(.*?)\s*$", line) for line in lines]
    header = {match[1]: match[2] for match in matches if match}
    if "CoordinateSystem" not in header:
        raise PasegError(f"{path} states no coordinate system: add the line '# CoordinateSystem = RAS' (or LPS).")
    columns = header.get("columns", "")
    if not {"x", "y", "z", "label"} <= set(columns.split(",")):
        raise PasegError(f"{path} has no line '# columns = id,x,y,z,...,label,...': save it from 3D Slicer again.")
    # Slicer 5 appends the position's status without naming the column.
    table = "\n".join([f"{columns},status", *(line for line in lines if not line.startswith("#"))])
    markups = Markups()
    for number, (_, row) in enumerate(rows(table)[1], start=1):
        where = point_at(path, number)
        if row["status"] != UNDEFINED:
            position = as_lps(coordinates(row, ("x", "y", "z"), where), header["CoordinateSystem"], where)
            markups.points.append(ControlPoint(position, row["label"], "", where))
    return markups
