"""Seconds of annotation per target, in one file next to the points, to which every annotator's page appends lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = "annotation_time.jsonl"
MAX_SECONDS = 24 * 3600.0
"""Longest time that one line can add."""


@dataclass(frozen=True)
class AnnotationTime:
    """Time of activity, without idle minutes.

    Attributes:
        seconds: Seconds per case, class and number of the target.
    """

    seconds: Mapping[tuple[str, str, int], float]

    @property
    def total(self) -> float:
        """Seconds of all targets."""
        return sum(self.seconds.values())

    @property
    def per_target(self) -> float:
        """Mean seconds per target."""
        return self.total / max(1, len(self.seconds))


def append_time(folder: Path, case: str, class_name: str, number: int, seconds: float) -> None:
    """Add seconds of a target.

    Args:
        folder: Folder of points.
        case: Case identifier.
        class_name: Class of the target.
        number: Number of the target.
        seconds: Seconds of activity since the last call.
    """
    line = json.dumps({"case": case, "class": class_name, "number": number, "seconds": round(seconds, 1)})
    # One write at the end of the file: lines of several servers do not mix.
    descriptor = os.open(folder / FILE, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
    try:
        os.write(descriptor, (line + "\n").encode())
    finally:
        os.close(descriptor)


def read_times(folder: Path) -> AnnotationTime | None:
    """Return the time of every target, None if no target was annotated by the page.

    A line that is cut off or edited adds nothing: the time is information, not data of the training.
    """
    try:
        lines = (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    seconds: dict[tuple[str, str, int], float] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            key = (str(entry["case"]), str(entry["class"]), int(entry["number"]))
            added = float(entry["seconds"])
        except (ValueError, KeyError, TypeError):
            continue
        if 0 <= added <= MAX_SECONDS:
            seconds[key] = seconds.get(key, 0.0) + added
    return AnnotationTime(seconds) if seconds else None
