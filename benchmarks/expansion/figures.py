"""Figures of the expansion benchmark's numbers: reliability, and Dice against inaccurate clicks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import colormaps

from benchmarks.expansion.tables import mean_of_datasets, reliability_by_dataset
from nnunet_paseg.plotting.figures import add_legend, new_figure, save_figure

COLUMNS = 3
PANEL_INCHES = 2.6

CURVES = {
    "Distance of the clicks from the faces": "distance of the clicks from the faces, voxels",
    "Depth of the inner point": "depth of the inner point, fraction of the largest",
}
"""Label of the horizontal axis by title of a study."""


def plot_reliability(measurements: Sequence[dict[str, Any]], file: Path) -> None:
    """Plot the observed fraction against the probability, one panel per dataset and one curve per half."""
    curves = {
        each["cases"]: reliability_by_dataset(each["rows"]) for each in measurements if each["method"] == "learned"
    }
    datasets = list(dict.fromkeys(dataset for found in curves.values() for dataset in found))
    rows = max(1, -(-len(datasets) // COLUMNS))
    figure = new_figure(PANEL_INCHES * COLUMNS, PANEL_INCHES * rows, dpi=120, layout="constrained")
    for index, dataset in enumerate(datasets):
        axes = figure.add_subplot(rows, COLUMNS, index + 1)
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for cases, found in curves.items():
            if dataset in found:
                points = [(p, fraction) for voxels, p, fraction in found[dataset].bins if voxels]
                axes.plot(
                    *zip(*points, strict=True), marker="o", markersize=3, label=f"{cases}: {found[dataset].error:.3f}"
                )
        axes.set_title(dataset.partition("_")[2] or dataset, fontsize=9)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_xlabel("probability", fontsize=8)
        axes.set_ylabel("observed fraction", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(title="calibration error", frameon=False, fontsize=7, title_fontsize=7)
    save_figure(figure, file)


def plot_curves(studies: dict[str, Any], file: Path) -> None:
    """Plot Dice against the distance of the clicks and the depth of the inner point, one curve per kind of target."""
    tables = {table["title"]: table for table in studies["tables"]}
    figure = new_figure(9, 4, dpi=120, layout="constrained")
    for index, (title, label) in enumerate(CURVES.items()):
        axes = figure.add_subplot(1, len(CURVES), index + 1)
        axes.set(xlabel=label, ylabel="Dice")
        axes.grid(alpha=0.3)
        axes.set_prop_cycle(color=colormaps["tab20"](range(20)))
        columns, rows = tables[title]["columns"], tables[title]["rows"]
        for row in rows:
            found = [(float(column), row["dice"][column]) for column in columns if column in row["dice"]]
            axes.plot(*zip(*found, strict=True), marker=".", linewidth=1, label=row["kind"])
        means = [mean_of_datasets([(row["dataset"], row["dice"].get(column)) for row in rows]) for column in columns]
        places = [(float(column), mean) for column, mean in zip(columns, means, strict=True) if mean is not None]
        axes.plot(*zip(*places, strict=True), color="black", linewidth=2.5, label="mean of datasets")
    handles, names = figure.axes[0].get_legend_handles_labels()
    add_legend(figure, list(zip(names, handles, strict=True)), loc="outside right center", fontsize=8)
    save_figure(figure, file)
