"""The page of the expansion benchmark's results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from benchmarks.expansion.tables import Record, markdown, mean_of_datasets, number, reliability_table, table_of_records

INTRODUCTION = """# Expansion of clicks to masks and seeds

A target is the largest 26-connected component of a label with at least 60 voxels. Clicks are simulated 1 to 3 voxels
outside each face of its bounding box, and on its deepest voxel. Each target has several draws of clicks. Dice and
volumes belong to the mask, seeds count in the box, and clicked voxels always keep their label. The calibration error
is the mean over the voxels of the boxes of |mean probability - observed fraction| in ten bins of probability.

* `learned`: the network of this package. The mask is p > 0.5, the estimated volume the sum of p.
* `paper`: the published rule with the exact geodesic distance. The mask is its foreground seeds; it has no background
  seeds in the box and no estimated volume.
* `adaptive`: the default rule of earlier versions, cut at its estimated volume. The code is no longer in the package,
  and its values are those of the recorded revision.

The cases of each dataset are in two [halves](expansion_halves.json), which were fixed before the first measurement.
The design was chosen on one half.
"""

TITLES = {
    "report": "Reporting half",
    "choose": "Choosing half",
    "phantoms": "Phantoms",
}

FIGURES = {
    "expansion_reliability.png": "Observed fraction of target voxels by probability, with the calibration error.",
    "expansion_curves.png": "Dice by the distance of the clicks from the faces and by the depth of the inner point.",
    "expansion_targets.png": "Twelve targets: the three with the smallest Dice, and nine that were drawn by a seed.\n"
    "Left: image, clicks (hollow: on another slice) and reference (red). Right: probability, its contour at 0.5 and\n"
    "the reference.",
}
"""Caption of each figure, by its file."""


def page(content: dict[str, Any], figures: Collection[str] = ()) -> str:
    """Return the page in Markdown.

    Args:
        content: Measurements and studies.
        figures: Files of the figures that exist.
    """
    parts = [INTRODUCTION]
    for cases, title in TITLES.items():
        found = [each for each in content["measurements"] if each["cases"] == cases]
        if found:
            parts.append(measured(title, sorted(found, key=lambda each: str(each["method"]) != "learned")))
    if content["studies"]:
        parts.append(studied(content["studies"]))
    if figures:
        parts.append("## Figures\n")
        parts += [f"{caption}\n\n![]({file})\n" for file, caption in FIGURES.items() if file in figures]
    return "\n".join(parts)


def measured(title: str, measurements: Sequence[dict[str, Any]]) -> str:
    """Return the section of one half, or of the phantoms."""
    records: list[Record] = [record for each in measurements for record in each["rows"]]
    lines = [f"## {title}", "", *(origin(each) for each in measurements), table_of_records(records)]
    if any(any(record["reliability"]["voxels"]) for record in records):
        lines += ["Mean probability and observed fraction of target voxels:", "", reliability_table(records)]
    return "\n".join(lines)


def origin(each: dict[str, Any]) -> str:
    """Return method, revision, weights and command."""
    weights = f", weights `{each['weights'][:12]}`" if each["weights"] else ""
    return f"`{each.get('method', 'learned')}`, revision {each['revision']}{weights}:\n\n    {each['command']}\n"


def studied(studies: dict[str, Any]) -> str:
    """Return the section of the studies: mean Dice by kind of target."""
    lines = ["## Studies", "", "Mean Dice over targets and draws.", "", origin(studies)]
    for study in studies["tables"]:
        columns, rows = study["columns"], study["rows"]
        values = [[row["kind"], *(number(row["dice"].get(column)) for column in columns)] for row in rows]
        means = [mean_of_datasets([(row["dataset"], row["dice"].get(column)) for row in rows]) for column in columns]
        lines += [f"### {study['title']}", "", study["note"], ""]
        lines.append(markdown(["target", *columns], [*values, ["**mean of datasets**", *map(number, means)]]))
        if study["missing"]:
            counts = ", ".join(f"{column}: {count}" for column, count in study["missing"].items())
            lines += [f"Draws without a target or clicks that can be placed, by column: {counts}.", ""]
    return "\n".join(lines)
