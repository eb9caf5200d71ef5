"""Two figures of the table: the gap that each method closes, and Dice against annotation time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from benchmarks.accuracy.budget import minutes
from benchmarks.accuracy.gaps import gap_closed
from benchmarks.accuracy.grid import METHODS
from benchmarks.accuracy.scores import Score
from benchmarks.accuracy.tasks import TASKS
from nnunet_paseg.io.files import atomic_output

# Okabe and Ito's palette, which colour-blind readers can distinguish too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
MARKERS = "osD^vPX"

CURVES = {
    "dense masks": ("dense-few-fifth", "dense-few-half", "dense-few", "dense"),
    "points, learned seeds": ("learned-fifth", "learned-half", "learned"),
    "points and a mask, learned seeds": ("learned-mixed",),
    "points, old default seeds": ("adaptive",),
    "the same, stage 1": ("adaptive-stage1",),
    "the same, stage 2": ("adaptive-stage2",),
    "points and a mask, old default, stage 1": ("adaptive-mixed-stage1",),
}
"""Methods along each curve of the economics, in order of annotation time."""

LOWEST = -0.5
"""Lowest gap closed in the first figure."""


def plot_gaps(scores: Sequence[Score], file: Path) -> None:
    """Plot the gap closed between the published rule and dense masks, one marker per run.

    Markers are hollow where the gap is too small. Values below :data:`LOWEST` are drawn there, with their value.
    Methods that train on a subset of the cases are in the other figure.
    """
    whole = [name for name, method in METHODS.items() if method.share is None]
    found = [(s, gap) for s in scores if s.method in whole and (gap := gap_closed(s, scores)) is not None]
    methods = [method for method in whole if any(score.method == method for score, _ in found)]
    datasets = sorted({score.dataset for score, _ in found})
    figure = Figure(figsize=(max(5, 0.9 * len(methods) + 2.5), 4), layout="constrained")
    axes = figure.add_subplot()
    for index, dataset in enumerate(datasets):
        own = [(score, gap) for score, gap in found if score.dataset == dataset]
        shift = (index - (len(datasets) - 1) / 2) * 0.6 / max(1, len(datasets))
        for score, gap in own:
            place = (methods.index(score.method) + shift, max(gap.closed, LOWEST))
            axes.plot(
                *place,
                MARKERS[index % len(MARKERS)],
                color=COLOURS[index % len(COLOURS)],
                markerfacecolor=None if gap.counts else "none",
            )
            if gap.closed < LOWEST:
                text = f"{gap.closed:.1f}"
                # Upright, because the markers of several datasets are side by side.
                axes.annotate(text, place, (0, 8), textcoords="offset points", ha="center", va="bottom", rotation=90)
        # The legend's marker is always filled.
        title = TASKS[dataset].title
        axes.plot([], [], MARKERS[index % len(MARKERS)], color=COLOURS[index % len(COLOURS)], label=title)
    for level, name in ((0, "published rule, exact"), (1, "dense masks")):
        axes.axhline(level, color="0.6", linewidth=1)
        axes.text(1.0, level, f" {name}", transform=axes.get_yaxis_transform(), va="center", color="0.4")
    axes.set_xticks(range(len(methods)), methods, rotation=30, ha="right")
    axes.set_xlim(-0.5, max(1, len(methods)) - 0.5)
    axes.set_ylabel("gap closed (Dice)")
    if datasets:
        axes.legend(frameon=False)
    _save(figure, file)


def plot_economics(scores: Sequence[Score], file: Path) -> None:
    """Plot Dice against annotation time, one panel per dataset with runs on few dense masks; no file without any."""
    few = [score for score in scores if score.method.startswith("dense-few")]
    panels = sorted({(score.dataset, score.iterations, score.preset) for score in few})
    if not panels:
        return
    figure = Figure(figsize=(4.8 * len(panels), 4), layout="constrained")
    for index, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), index)
        own = [score for score in scores if (score.dataset, score.iterations, score.preset) == panel]
        _draw_curves(axes, own)
        axes.set_title(f"{TASKS[panel[0]].title}, {panel[1]} iterations")
    _save(figure, file)


def curve(scores: Sequence[Score], methods: Sequence[str]) -> list[tuple[float, float, int]]:
    """Return annotation minutes, mean Dice over seeds and number of runs of each method, for one dataset's scores."""
    points = []
    for method in methods:
        values = [score.dice for score in scores if score.method == method]
        if values:
            points.append((minutes(METHODS[method], TASKS[scores[0].dataset]), fmean(values), len(values)))
    return points


def _draw_curves(axes: Axes, scores: Sequence[Score]) -> None:
    for (name, methods), colour, marker in zip(CURVES.items(), COLOURS, MARKERS, strict=False):
        points = curve(scores, methods)
        if points:
            axes.plot(*list(zip(*points, strict=True))[:2], marker=marker, color=colour, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("annotation time (minutes)")
    axes.set_ylabel("Dice")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(frameon=False)


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(file) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
