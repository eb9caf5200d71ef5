"""3D Slicer's points as text: fiducial lists, ``.fcsv``, and control-point tables, ``.csv`` and ``.tsv``."""

from __future__ import annotations

import re
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import PLACED, SKIPPED, STATUSES, ControlPoint, Markups, UnplacedPoint, as_lps
from nnunet_paseg.points.formats.table import DELIMITERS, NUMBER, Row, Table, parse_table
from nnunet_paseg.points.formats.text import read_text, shown

SYSTEMS = {"LPS": ("l", "p", "s"), "RAS": ("r", "a", "s")}
STATUS_COLUMNS = ("positionstatus", "status")
EXTRA = 2
"""Cells of 3D Slicer 5 after the last named column of ``.fcsv`` files: position status and automatic placement."""
TRUE, FALSE = ("true", "t", "yes", "y", "on"), ("false", "f", "no", "n", "off")


def read_fcsv(path: Path) -> Markups:
    """Read the points of a fiducial list.

    Raises:
        PasegError: The coordinate system or the columns are missing, or a line is not a point.
    """
    lines = read_text(path).split("\n")
    header: dict[str, str] = {}
    for line in lines:
        if match := re.match(r'"?#\s*(\w+)\s*=', line):
            # A spreadsheet fills the line up with delimiters.
            key, value = match[1].casefold(), line[match.end() :].strip(' "' + DELIMITERS)
            if header.setdefault(key, value) != value:
                raise PasegError(f"{path} has two different lines '# {match[1]} = ...': delete one of them.")
    if "coordinatesystem" not in header:
        raise PasegError(f"{path} states no coordinate system: add the line '# CoordinateSystem = RAS' (or LPS).")
    if not {"x", "y", "z", "label"} <= set(re.split(rf"[\s{DELIMITERS}]+", header.get("columns", "").casefold())):
        raise PasegError(f"{path} has no line '# columns = id,x,y,z,...,label,...': save it from 3D Slicer again.")
    # Empty lines in place of comments keep the numbers of all others.
    points = ["" if line.lstrip('"').startswith("#") else line for line in lines]
    table = parse_table(path, header["columns"], points, extra=EXTRA)
    return _markups(table, ("x", "y", "z"), header["coordinatesystem"])


def read_slicer_table(table: Table) -> Markups:
    """Read the points of a control-point table.

    Raises:
        PasegError: A column is missing, or a row is not a point.
    """
    systems = [name for name, columns in SYSTEMS.items() if set(columns) <= set(table.columns)]
    if len(systems) != 1 or "label" not in table.columns:
        raise PasegError(f"{table.path} has the columns {shown(table.columns)}: use label and l,p,s or r,a,s.")
    return _markups(table, SYSTEMS[systems[0]], systems[0])


def _markups(table: Table, columns: tuple[str, str, str], system: str) -> Markups:
    markups = Markups()
    for row in table.rows:
        status = _defined(row) if "defined" in table.columns else _status(row)
        table.check_end(row, ("label",))
        if status == PLACED:
            position = as_lps(table.position(row, columns), system, row.where)
            markups.points.append(ControlPoint(position, row.text("label"), "", row.where))
        else:
            markups.unplaced.append(UnplacedPoint(status, row.text("label"), "", row.where))
    return markups


def _status(row: Row) -> str:
    """Return the position status; files of older versions have none, and all their points have been placed."""
    cell = next((row.cells[name] for name in STATUS_COLUMNS if name in row.cells), row.extra[0] if row.extra else None)
    if cell is None:
        return PLACED
    if cell.casefold() in STATUSES:
        return cell.casefold()
    # .fcsv files contain the number of the status.
    numbers = dict(enumerate(STATUSES))
    value = _number(cell)
    if value is None or value not in numbers:
        raise PasegError(
            f"{row.where}: the position status is '{shown(cell)}', not one of {tuple(numbers)} "
            f"({STATUSES.index(PLACED)} is a placed point): correct it."
        )
    return numbers[int(value)]


def _defined(row: Row) -> str:
    """Return the status of a row of a table, which does not distinguish planned points from skipped ones.

    A point without a position counts as skipped. Targets whose points have sides need all of them all the same.
    """
    cell = row.cells["defined"].casefold()
    if cell in TRUE or _number(cell) == 1:
        return PLACED
    if cell in FALSE or _number(cell) == 0:
        return SKIPPED
    raise PasegError(f"{row.where}: 'defined' is '{shown(row.cells['defined'])}': write 1 (placed) or 0 (not placed).")


def _number(cell: str) -> float | None:
    return float(cell.replace(",", ".")) if NUMBER.fullmatch(cell) else None
