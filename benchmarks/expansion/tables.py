"""Tables of the expansion benchmark in Markdown, and their content as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.expansion.reliability import BINS, Reliability
from benchmarks.expansion.scores import Summary

MEANS = ("dice", "foreground_precision", "foreground_recall", "background_precision", "background_recall")
VOLUMES = ("mask_volume", "volume")
SEEDS = ("foreground", "background")
WORST = 3

HEAD = (
    "target (number)",
    "method",
    "Dice ± SD",
    "SD of draws",
    "mask volume: median (mean)",
    "estimated volume: median (mean)",
    "foreground seeds: precision / recall",
    "background seeds: precision / recall",
    "calibration error",
    "worst cases",
)


def table(summaries: Sequence[Summary]) -> str:
    """Return one row per target and method, then the means over datasets."""
    rows = [record(summary) for kind in _kinds(summaries) for summary in summaries if _kind(summary) == kind]
    return markdown(HEAD, [*(row_of(row) for row in rows), *(mean_row(name, rows) for name in _methods(rows))])


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def record(summary: Summary) -> dict[str, Any]:
    """Return the figures of a summary for JSON; undefined ones are None."""
    content: dict[str, Any] = {
        "dataset": summary.dataset,
        "kind": summary.kind,
        "method": summary.method,
        "targets": len(summary.cases),
        **{name: summary.mean(name) for name in MEANS},
        "dice_sd": summary.spread,
        "dice_sd_of_draws": summary.spread_of_draws,
        **{f"{name}_mean": summary.mean(name) for name in VOLUMES},
        **{f"{name}_median": summary.median(name) for name in VOLUMES},
        "calibration_error": summary.reliability.error,
        "worst": {case: round(dice, 3) for case, dice in list(summary.cases.items())[:WORST]},
    }
    figures = {
        key: (None if math.isnan(value) else round(value, 4)) if isinstance(value, float) else value
        for key, value in content.items()
    }
    bins = [[round(p, 4), round(fraction, 4)] for p, fraction in summary.reliability.points]
    return {**figures, "reliability": bins}


def row_of(row: dict[str, Any]) -> list[str]:
    """Return the row of one record."""
    return [
        f"{row['kind']} ({row['targets']})",
        row["method"],
        f"{_number(row['dice'])} ± {_number(row['dice_sd'])}",
        _number(row["dice_sd_of_draws"]),
        *(
            f"{_number(row[f'{name}_median'], 2)} ({_number(row[f'{name}_mean'], 2)})"
            for name in ("mask_volume", "volume")
        ),
        *(
            f"{_number(row[f'{name}_precision'])} / {_number(row[f'{name}_recall'])}"
            for name in ("foreground", "background")
        ),
        _number(row["calibration_error"]),
        ", ".join(f"{case} {dice:.2f}" for case, dice in row["worst"].items()),
    ]


def mean_row(method: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the means over datasets of one method; a dataset's value is the mean over its kinds of targets."""
    own = [row for row in rows if row["method"] == method]
    datasets = list(dict.fromkeys(row["dataset"] for row in own))

    def mean(name: str, digits: int = 3) -> str:
        values = [
            [row[name] for row in own if row["dataset"] == dataset and row[name] is not None] for dataset in datasets
        ]
        return _number(float(np.mean([np.mean(each) for each in values])) if all(values) else None, digits)

    return [
        f"**mean of datasets** ({len(datasets)})",
        method,
        mean("dice"),
        "",
        *(f"{mean(f'{name}_median', 2)} ({mean(f'{name}_mean', 2)})" for name in VOLUMES),
        *(f"{mean(f'{name}_precision')} / {mean(f'{name}_recall')}" for name in SEEDS),
        mean("calibration_error"),
        "",
    ]


def reliability_table(summaries: Sequence[Summary]) -> str:
    """Return the observed fraction of target voxels per bin of probability, one row per dataset."""
    total: dict[str, Reliability] = {}
    for summary in summaries:
        if any(summary.reliability.voxels):
            total[summary.dataset] = total.get(summary.dataset, Reliability()) + summary.reliability
    rows = [
        [
            dataset,
            _number(found.error),
            *(
                f"{predicted / voxels:.2f}: {observed / voxels:.2f}" if voxels else ""
                for voxels, predicted, observed in zip(found.voxels, found.predicted, found.observed, strict=True)
            ),
        ]
        for dataset, found in total.items()
    ]
    bins = [f"p {index / BINS:g} to {(index + 1) / BINS:g}" for index in range(BINS)]
    return markdown(["dataset", "calibration error", *bins], rows)


def _number(value: float | None, digits: int = 3) -> str:
    """Return a rounded value, or nothing if it is undefined."""
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _kind(summary: Summary) -> tuple[str, str]:
    return summary.dataset, summary.kind


def _kinds(summaries: Sequence[Summary]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(_kind(summary) for summary in summaries))


def _methods(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["method"] for row in rows))
