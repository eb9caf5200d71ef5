"""The record of a converted case: that it is whole, and which files it was made of."""

from __future__ import annotations

import json
from pathlib import Path

from nnunet_paseg.conversion.plan import Case
from nnunet_paseg.conversion.sources import as_source
from nnunet_paseg.points.formats import point_files


def record_file(folder: Path, case: Case) -> Path:
    """How a case was made; it is there once the case is whole."""
    return folder / "records" / f"{case.identifier}.json"


def is_done(folder: Path, case: Case) -> bool:
    """Whether a case has been converted from the files that are there now: not if its points were corrected since."""
    try:
        record = json.loads(record_file(folder, case).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return bool(record["made_of"] == made_of(case))


def made_of(case: Case) -> dict[str, list[int]]:
    """Size and time of every file that a case is made of."""
    files = [file for item in (*case.images, case.mask) if item is not None for file in as_source(item).files]
    if case.points is not None:
        files += files_of_points(case.points)
    states = {str(file): file.stat() for file in files}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}


def files_of_points(points: Path) -> list[Path]:
    """The point files of a case: one, or those of a folder."""
    return list(point_files(points)) if points.is_dir() else [points]
