"""Text files and tables."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import FloatArray


def read_text(path: Path) -> str:
    """Read a text file, with or without a byte order mark.

    Raises:
        PasegError: The file is missing or not text in UTF-8.
    """
    try:
        # 3D Slicer 5 leaves carriage returns in the middle of some lines.
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "")
    except OSError as error:
        raise PasegError(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise PasegError(f"{path} is not text in UTF-8: save it again as plain text.") from error


def rows(text: str, *, delimiter: str = ",") -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Return the header of a table and its lines as numbers and cells by column.

    Empty lines are left out, and missing cells are empty.
    """
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    header = [name.strip() for name in next(reader, [])]

    def lines() -> Iterator[tuple[int, dict[str, str]]]:
        for fields in reader:
            if any(field.strip() for field in fields):
                padded = fields + [""] * (len(header) - len(fields))
                yield reader.line_num, dict(zip(header, (field.strip() for field in padded), strict=False))

    return header, lines()


def coordinates(row: dict[str, str], columns: Sequence[str], where: str) -> FloatArray:
    """Return three coordinates of a line.

    Raises:
        PasegError: A coordinate is not a number.
    """
    try:
        return np.array([float(row[column]) for column in columns])
    except ValueError:
        values = [row[column] for column in columns]
        raise PasegError(f"{where}: {values} are not three numbers: place the point again, or delete it.") from None
