"""Summary of a completion: a table of the cases, worst first, in text and as JSON."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunet_paseg.completion.case import weights_record
from nnunet_paseg.completion.cases import Completion
from nnunet_paseg.io.files import atomic_output

TABLE = "confidence.csv"
COLUMNS = ("case", "confidence", "annotation", "trained_on", "folds", "targets", "agreement", "problems")
GROUPS = {False: "not trained on", True: "trained on"}


def worst_first(result: Completion) -> list[tuple[str, dict[str, Any]]]:
    """Return the completed cases with their records, the smallest confidence first."""
    return sorted(result.records.items(), key=lambda item: (item[1]["confidence"], item[0]))


def write_table(result: Completion, folder: Path) -> Path:
    """Write confidence.csv: one line per case, the smallest confidence first.

    Args:
        result: Outcome.
        folder: Folder of the masks.
    """
    path = folder / TABLE
    with atomic_output(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for case, record in worst_first(result):
            targets = record["targets"]
            is_clicked = record["annotation"] == "points"
            writer.writerow(
                [
                    case,
                    record["confidence"],
                    record["annotation"],
                    {True: "yes", False: "no"}[record["trained_on"]] if is_clicked else "",
                    " ".join(record["folds"]) if is_clicked else "",
                    len(targets) if is_clicked else "",
                    min((target["agreement"] for target in targets), default=""),
                    "; ".join(_problems(record)),
                ]
            )
    return path


def _problems(record: Mapping[str, Any]) -> list[str]:
    return [
        f"target {number} ({target['class']}): {problem}"
        for number, target in enumerate(record["targets"], start=1)
        for problem in target["problems"]
    ]


def summary(result: Completion, labels: Mapping[str, int], folder: Path) -> str:
    """Return the warnings, the weights of the sources and the number of cases, one per line.

    Args:
        result: Outcome.
        labels: Label by class name.
        folder: Folder of the masks.
    """
    lines = [
        f"Warning: case {case}, {problem}." for case, record in worst_first(result) for problem in _problems(record)
    ]
    names = {label: name for name, label in labels.items()}
    for group, weights in result.weights.items():
        for label, (expansion, network) in weights.items():
            lines.append(
                f"{names[label]}, cases {GROUPS[group]}: weight {network.weight:.2f} for the networks (reliability "
                f"{network.reliability:.2f}), {expansion.weight:.2f} for the expansion ({expansion.reliability:.2f}), "
                f"from {result.targets[group][label]} targets"
            )
    clicked = [record for record in result.records.values() if record["annotation"] == "points"]
    counts = [f"{sum(record['trained_on'] == group for record in clicked)} {name}" for group, name in GROUPS.items()]
    lines.append(
        f"{len(result.records)} masks in {folder}: {', '.join(counts)}, {len(result.records) - len(clicked)} dense; "
        f"{len(result.problems)} bad cases"
    )
    return "\n".join(lines)


def to_json(result: Completion, labels: Mapping[str, int], folder: Path, dataset: Path | None) -> dict[str, Any]:
    """Return the outcome of a completion as JSON.

    Args:
        result: Outcome.
        labels: Label by class name.
        folder: Folder of the masks.
        dataset: Folder of the dense dataset, if one was written.
    """
    names = {str(label): name for name, label in labels.items()}
    keys = ("confidence", "annotation", "trained_on", "folds", "targets")
    return {
        "output": folder,
        "cases": {case: {key: record[key] for key in keys} for case, record in worst_first(result)},
        "weights": {
            GROUPS[group].replace(" ", "_"): {names[label]: each for label, each in weights_record(weights).items()}
            for group, weights in result.weights.items()
        },
        "problems": dict(sorted(result.problems.items())),
        "table": folder / TABLE,
        "sheet": result.sheet,
        "dataset": dataset,
    }
