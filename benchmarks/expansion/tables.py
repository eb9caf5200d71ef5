"""Figures of the expansion benchmark as records for JSON, and their tables in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.expansion.reliability import BINS, Reliability
from benchmarks.expansion.scores import Summary

Record = dict[str, Any]

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
    """Return the table of :func:`table_of_records`."""
    return table_of_records([record(summary) for summary in summaries])


def record(summary: Summary) -> Record:
    """Return the figures of a summary; undefined ones are None."""
    content: Record = {
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
    }
    return {
        **{
            key: (None if math.isnan(value) else round(value, 4)) if isinstance(value, float) else value
            for key, value in content.items()
        },
        "worst": {case: round(dice, 3) for case, dice in list(summary.cases.items())[:WORST]},
        "reliability": summary.reliability.to_json(),
    }


def table_of_records(records: Sequence[Record]) -> str:
    """Return one row per target and method, then the means over datasets."""
    kinds = list(dict.fromkeys((each["dataset"], each["kind"]) for each in records))
    rows = [row(each) for kind in kinds for each in records if (each["dataset"], each["kind"]) == kind]
    methods = dict.fromkeys(each["method"] for each in records)
    return markdown(
        HEAD, [*rows, *(mean_row([each for each in records if each["method"] == name]) for name in methods)]
    )


def row(each: Record) -> list[str]:
    """Return the row of one record."""
    return [
        f"{each['kind']} ({each['targets']})",
        each["method"],
        f"{number(each['dice'])} ± {number(each['dice_sd'])}",
        number(each["dice_sd_of_draws"]),
        *(f"{number(each[f'{name}_median'], 2)} ({number(each[f'{name}_mean'], 2)})" for name in VOLUMES),
        *(f"{number(each[f'{name}_precision'])} / {number(each[f'{name}_recall'])}" for name in SEEDS),
        number(each["calibration_error"]),
        ", ".join(f"{case} {dice:.2f}" for case, dice in each["worst"].items()),
    ]


def mean_row(records: Sequence[Record]) -> list[str]:
    """Return the means over datasets of one method; the value of a dataset is the mean over its kinds of targets."""
    datasets = list(dict.fromkeys(each["dataset"] for each in records))

    def mean(name: str, digits: int = 3) -> str:
        values = mean_of_datasets([(each["dataset"], each[name]) for each in records])
        return number(values, digits)

    return [
        f"**mean of datasets** ({len(datasets)})",
        records[0]["method"],
        mean("dice"),
        "",
        *(f"{mean(f'{name}_median', 2)} ({mean(f'{name}_mean', 2)})" for name in VOLUMES),
        *(f"{mean(f'{name}_precision')} / {mean(f'{name}_recall')}" for name in SEEDS),
        mean("calibration_error"),
        "",
    ]


def mean_of_datasets(values: Sequence[tuple[str, float | None]]) -> float | None:
    """Return the mean over datasets of their mean values, or None if a dataset has none."""
    by_dataset: dict[str, list[float]] = {dataset: [] for dataset, _ in values}
    for dataset, value in values:
        if value is not None:
            by_dataset[dataset].append(value)
    if not all(by_dataset.values()):
        return None
    return float(np.mean([np.mean(each) for each in by_dataset.values()]))


def reliability_by_dataset(records: Sequence[Record]) -> dict[str, Reliability]:
    """Return the pooled voxels of each dataset, without methods that have no probability."""
    total: dict[str, Reliability] = {}
    for each in records:
        found = Reliability(**each["reliability"])
        if any(found.voxels):
            total[each["dataset"]] = total.get(each["dataset"], Reliability()) + found
    return total


def reliability_table(records: Sequence[Record]) -> str:
    """Return the mean probability and the observed fraction of target voxels per bin, one row per dataset."""
    rows = [
        [
            dataset,
            number(found.error),
            *(f"{p:.2f}: {fraction:.2f}" if voxels else "" for voxels, p, fraction in found.bins),
        ]
        for dataset, found in reliability_by_dataset(records).items()
    ]
    bins = [f"p {index / BINS:g} to {(index + 1) / BINS:g}" for index in range(BINS)]
    return markdown(["dataset", "calibration error", *bins], rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def number(value: float | None, digits: int = 3) -> str:
    """Return a rounded value, or nothing if it is undefined."""
    return "" if value is None else f"{value:.{digits}f}"
