"""Reading text files of any origin: byte order marks, line ends and tables, with errors that name the line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import FloatArray


def read_text(path: Path) -> str:
    """Text of a file, with or without a byte order mark.

    Raises:
        PasegError: the file is missing or no text.
    """
    try:
        # 3D Slicer 5 leaves carriage returns in the middle of some lines.
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "")
    except OSError as error:
        raise PasegError(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise PasegError(f"{path} is no text in UTF-8: save it again as plain text.") from error


def rows(text: str, *, delimiter: str = ",") -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Header of a table, and its lines by number and column; empty lines are left out, missing fields are empty."""
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    header = [name.strip() for name in next(reader, [])]

    def lines() -> Iterator[tuple[int, dict[str, str]]]:
        for fields in reader:
            if any(field.strip() for field in fields):
                padded = fields + [""] * (len(header) - len(fields))
                yield reader.line_num, dict(zip(header, (field.strip() for field in padded), strict=False))

    return header, lines()


def coordinates(row: dict[str, str], columns: Sequence[str], where: str) -> FloatArray:
    """Three numbers of a line.

    Raises:
        PasegError: they are no numbers.
    """
    try:
        return np.array([float(row[column]) for column in columns])
    except ValueError:
        values = [row[column] for column in columns]
        raise PasegError(f"{where}: {values} are not three numbers: place the point again, or delete it.") from None
