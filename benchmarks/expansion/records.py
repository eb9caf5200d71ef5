"""The committed record of the expansion benchmark: measurements and their commands, from which the page is made."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy.source import revision
from benchmarks.expansion import RESULTS
from benchmarks.expansion.figures import plot_curves, plot_reliability
from benchmarks.expansion.page import page
from nnunet_paseg.io.files import atomic_output, write_json


def provenance(module: str, argv: Sequence[str], data: Path | None) -> dict[str, str]:
    """Return the command, without the folders of this machine, and the revision of the repository that it ran in."""
    words = ["DATA" if data and Path(word) == data else Path(word).name if os.sep in word else word for word in argv]
    return {"command": shlex.join(["python", "-m", module, *words]), "revision": revision()}


def read_results(folder: Path | None = None) -> dict[str, Any]:
    """Return all measurements and studies, none if there is no record yet."""
    file = (folder or RESULTS) / "expansion.json"
    if not file.exists():
        return {"measurements": [], "studies": None}
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def replaced(measurements: Sequence[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the measurements with a new one, which replaces an earlier one of the same cases and method."""
    kept = [each for each in measurements if (each["cases"], each["method"]) != (new["cases"], new["method"])]
    return [*kept, new]


def write_results(content: dict[str, Any], folder: Path | None = None) -> None:
    """Write the record, the page and its two figures of numbers."""
    folder = folder or RESULTS
    write_json(content, folder / "expansion.json")
    if any(each["method"] == "learned" for each in content["measurements"]):
        plot_reliability(content["measurements"], folder / "expansion_reliability.png")
    if content["studies"]:
        plot_curves(content["studies"], folder / "expansion_curves.png")
    figures = {file.name for file in folder.glob("expansion_*.png")}
    with atomic_output(folder / "expansion.md") as temporary:
        temporary.write_text(page(content, figures), encoding="utf-8")
