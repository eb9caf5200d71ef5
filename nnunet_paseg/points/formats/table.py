"""Tables in text files: one reader for all delimiters, quotation marks and decimal signs."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import check_position
from nnunet_paseg.points.formats.text import read_text, shown
from nnunet_paseg.points.grid import FloatArray

DELIMITERS = ",;\t|"
NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
MAX_ROWS = 10_000
"""A table with more rows does not contain clicks."""
EMPTY = ("nan", "nat", "<na>", "none")
"""Empty cells as napari and pandas write them."""


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a table.

    Attributes:
        where: File and line, for messages.
        cells: Cells by column.
        extra: Cells after the last column.
    """

    where: str
    cells: dict[str, str]
    extra: tuple[str, ...] = ()

    def text(self, column: str) -> str:
        """Return a cell; a missing column and a tool's word for an empty cell are empty."""
        cell = self.cells.get(column, "")
        return "" if cell.casefold() in EMPTY else cell


@dataclass(eq=False)
class Table:
    """Rows of cells under named columns.

    Attributes:
        path: File.
        columns: Names of the columns, in lower case.
        rows: Rows that are not empty.
        is_cut: Whether the last row has no line end.
    """

    path: Path
    columns: list[str]
    rows: list[Row]
    is_cut: bool
    _decimal_signs: set[str] = field(default_factory=set)

    def position(self, row: Row, columns: Sequence[str]) -> FloatArray:
        """Return the three coordinates in a row.

        Raises:
            PasegError: A coordinate is not a number, too large or cut off, or the decimal sign varies.
        """
        cells = [row.cells[column] for column in columns]
        if not all(NUMBER.fullmatch(cell) for cell in cells):
            raise PasegError(f"{row.where}: {shown(cells)} are not three numbers: place the point again, or delete it.")
        self._decimal_signs |= set("".join(cells)) & {".", ","}
        if len(self._decimal_signs) > 1:
            raise PasegError(f"{row.where}: {shown(cells)}: both '.' and ',' are decimal signs in this file: use one.")
        if self._is_end(row, columns[-1:]) and self._has_fewest_decimals(row, columns):
            self.check_end(row, columns)
        return check_position(np.array([float(cell.replace(",", ".")) for cell in cells]), row.where)

    def check_end(self, row: Row, columns: Sequence[str]) -> None:
        """Raise PasegError if a cell in these columns is the end of a file without a last line break."""
        if self._is_end(row, columns):
            raise PasegError(
                f"{row.where}: the file ends without a line break, so '{shown(row.cells[self.columns[-1]])}' may be "
                "cut off: check it and add a line break."
            )

    def _is_end(self, row: Row, columns: Sequence[str]) -> bool:
        return self.is_cut and row is self.rows[-1] and not row.extra and self.columns[-1] in columns

    def _has_fewest_decimals(self, row: Row, columns: Sequence[str]) -> bool:
        """Return whether the last cell of a row has fewer decimals than all other cells in these columns."""
        cells = [other.cells[column] for other in self.rows for column in columns if other is not row]
        cells += [row.cells[column] for column in columns[:-1]]
        return _decimals(row.cells[columns[-1]]) < min(map(_decimals, cells))


def read_table(path: Path) -> Table:
    """Read a table whose first line names the columns.

    Raises:
        PasegError: The file is not text, a line is not a row of the table, or a column occurs twice.
    """
    lines = read_text(path).split("\n")
    start = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if re.fullmatch(r"sep=.", lines[start].strip(), re.IGNORECASE):  # a line for Excel
        start = min(start + 1, len(lines) - 1)
    # Empty lines in place of the header keep the numbers of all others.
    return parse_table(path, lines[start], [""] * (start + 1) + lines[start + 1 :])


def parse_table(path: Path, header: str, lines: Sequence[str], *, extra: int = 0) -> Table:
    """Parse lines under a header.

    Args:
        path: File, for messages.
        header: Names of the columns.
        lines: Lines of the file, without header; empty ones are skipped.
        extra: Number of cells that all rows may have after the last column.

    Raises:
        PasegError: A line is not a row of the table, or a column occurs twice.
    """
    delimiter = max(DELIMITERS, key=header.count)
    names = [name.casefold() for _, cells in _split(path, [header], delimiter) for name in cells]
    if doubled := [name for name, count in Counter(names).items() if name and count > 1]:
        raise PasegError(f"{path} has two columns '{shown(doubled[0])}': delete one of them.")
    rows: list[Row] = []
    for number, cells in _split(path, lines, delimiter):
        expected = len(names) + len(rows[0].extra) if rows else min(max(len(cells), len(names)), len(names) + extra)
        if len(cells) != expected:
            raise PasegError(f"{path}, line {number} has {len(cells)} cells instead of {expected}: save it again.")
        named = dict(zip(names, cells, strict=False))
        # pandas writes the number of the row into a first column without a name.
        if named.get("") and not (names[0] == "" and cells[0].isdecimal()):
            raise PasegError(f"{path}, line {number}: '{shown(named[''])}' is in a column without a name: name it.")
        rows.append(Row(f"{path}, line {number}", named, tuple(cells[len(names) :])))
    return Table(path, names, rows, is_cut=bool(lines and lines[-1].strip()))


def _split(path: Path, lines: Sequence[str], delimiter: str) -> list[tuple[int, list[str]]]:
    """Return the cells of the lines that are not empty, with the number of their first line."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    rows, first = [], 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append((first, stripped))
            if len(rows) > MAX_ROWS:
                raise PasegError(f"{path} has more than {MAX_ROWS} rows, so it is not a point file: remove it.")
            first = reader.line_num + 1
    except csv.Error as error:
        raise PasegError(
            f"{path}, line {first} is not a row of a table ({error}): check its quotation marks."
        ) from error
    return rows


def _decimals(number: str) -> int:
    return len(re.split("[.,]", number)[1]) if re.search("[.,]", number) else 0
