"""3D Slicer's control-point tables, ``.csv`` and ``.tsv``, whose columns are called l, p, s or r, a, s."""

from __future__ import annotations

from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import ControlPoint, Markups, as_lps, point_at
from nnunet_paseg.points.formats.text import coordinates, read_text, rows

SYSTEMS = {"LPS": ("l", "p", "s"), "RAS": ("r", "a", "s")}


def read_slicer_table(path: Path) -> Markups:
    """Read the points of a control-point table.

    Raises:
        PasegError: The columns belong to neither coordinate system, or a coordinate is not a number.
    """
    header, lines = rows(read_text(path), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    system = next((name for name, columns in SYSTEMS.items() if set(columns) <= set(header)), None)
    if system is None:
        raise PasegError(f"{path} has the columns {header}; use label and l,p,s or r,a,s.")
    markups = Markups()
    for number, (_, row) in enumerate(lines, start=1):
        where = point_at(path, number)
        if row.get("defined") != "0":
            position = as_lps(coordinates(row, SYSTEMS[system], where), system, where)
            markups.points.append(ControlPoint(position, row.get("label", ""), "", where))
    return markups
