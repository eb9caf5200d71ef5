"""Published splits: training, validation and test cases from a CSV file."""

from __future__ import annotations

import csv
import reprlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import composed

Part = Literal["training", "validation", "test"]
NAMES: dict[str, Part] = {
    "training": "training",
    "train": "training",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "inference": "test",
    "testing": "test",
    "test": "test",
}
"""Names of the parts of a split in files."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = 60


def read_split(path: Path) -> dict[str, Part]:
    """Read the part of every case of a split file.

    The file has one line ``case,part`` per case, with or without a header (other columns are ignored).
    Alternatively, it has one column of case names per part, under headers that name the parts. Parts are called
    training, validation and inference (or train, val, test).

    Raises:
        PasegError: The file is missing or empty, or a line has neither form.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise PasegError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise PasegError(f"{path} is no text file: save the split as CSV.") from error
    try:
        table = list(csv.reader(lines, strict=True))
    except csv.Error as error:
        raise PasegError(f"{path} is no CSV ({error}): save the split again as CSV.") from error
    rows = [(number, [composed(cell.strip()) for cell in row]) for number, row in enumerate(table, start=1)]
    rows = [(number, row) for number, row in rows if any(row)]
    if not rows:
        raise PasegError(f"{path} is empty: expected lines of case,training or case,validation or case,inference.")
    header = [cell.lower() for cell in rows[0][1]]
    pairs = _columns(path, rows) if set(filter(None, header)) <= set(NAMES) else _lines(path, rows)
    counts = Counter(case for case, _ in pairs)
    if double := sorted(case for case, count in counts.items() if count > 1):
        raise PasegError(f"{path} lists a case more than once: {double[:5]}.")
    return dict(pairs)


def _columns(path: Path, rows: Sequence[tuple[int, list[str]]]) -> list[tuple[str, Part]]:
    parts = [NAMES.get(cell.lower()) for cell in rows[0][1]]
    pairs = []
    for number, row in rows[1:]:
        for column, case in enumerate(row):
            part = parts[column] if column < len(parts) else None
            if case and part is None:
                raise PasegError(f"{path}, line {number}: {_SHORT.repr(case)} is in a column without a name.")
            if case and part is not None:
                pairs.append((case, part))
    return pairs


def _lines(path: Path, rows: Sequence[tuple[int, list[str]]]) -> list[tuple[str, Part]]:
    if not any(cell.lower() in NAMES for cell in rows[0][1]):
        rows = rows[1:]
    pairs = []
    for number, row in rows:
        columns = [column for column, cell in enumerate(row) if cell.lower() in NAMES]
        others = [cell for column, cell in enumerate(row) if column not in columns and cell]
        if len(columns) != 1 or not others:
            raise PasegError(
                f"{path}, line {number}: {_SHORT.repr(','.join(row))} is no case and its part; expected e.g. "
                f"'case_1,training' (parts: {', '.join(NAMES)})."
            )
        pairs.append((others[0], NAMES[row[columns[0]].lower()]))
    return pairs


def assign(
    identifiers: Sequence[str], split: dict[str, Part], *, unlisted: Part | Literal["refuse", "skip"]
) -> dict[str, Part]:
    """Return the part of every available case.

    Args:
        identifiers: Available cases.
        split: Part by case, from :func:`read_split`.
        unlisted: Use of the cases that the split does not list: ``refuse``, ``skip``, or their part.

    Raises:
        PasegError: Listed cases are missing, or there are unlisted cases and ``unlisted`` is ``refuse``.
    """
    if missing := sorted(set(split) - set(identifiers)):
        raise PasegError(
            f"{len(missing)} of the split's {len(split)} cases are not among the {len(identifiers)} that were found, "
            f"e.g. {missing[:3]} (found e.g. {sorted(identifiers)[:3]}): complete the download."
        )
    extra = [case for case in identifiers if case not in split]
    if extra and unlisted == "refuse":
        raise PasegError(
            f"The split does not list {len(extra)} of the {len(identifiers)} cases, e.g. {sorted(extra)[:3]}: pass "
            "--unlisted training, validation, test or skip."
        )
    result = {case: split[case] for case in identifiers if case in split}
    if unlisted != "refuse" and unlisted != "skip":
        result |= dict.fromkeys(extra, unlisted)
    return result
