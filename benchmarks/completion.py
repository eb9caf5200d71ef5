"""Dice of completed masks on the training cases of the accuracy benchmark, against that of their two sources.

Every finished cell of a workspace whose seeds come from the expansion network is completed by `paseg complete`. The
dense masks of the training cases, which no training has seen, are the references. The network alone is its
probabilities in the window around every target, so that its false positives elsewhere do not count. The same command
resumes.

Example:
    python -m benchmarks.completion DATA --workspace FOLDER --tasks glioma sarcoma-pet
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy import RESULTS
from benchmarks.accuracy.budget import fold
from benchmarks.accuracy.grid import METHODS
from benchmarks.accuracy.source import check_clean, origin
from benchmarks.accuracy.tasks import TASKS, Task
from benchmarks.accuracy.workspace import BenchmarkWorkspace
from benchmarks.window import mean_dice
from nnunet_paseg.cli import main as paseg
from nnunet_paseg.completion.clicks import clicked_masks
from nnunet_paseg.completion.dataset import ClickedDataset
from nnunet_paseg.completion.folder import SOURCES, CompletionFolder, read_source
from nnunet_paseg.completion.reliability import FACTORS, Measure, combined, source_weights
from nnunet_paseg.completion.targets import read_targets, start_of, window_around
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.io.images import read_labels
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.points.windows import Window, shifted

NETWORK_FACTORS = (0.0, 0.2, 0.3, 0.4, 0.6, 1.0)
"""Factors of the trained network's odds, of which `paseg complete` uses that in FACTORS."""

KINDS = (*SOURCES, "completed", *map(str, NETWORK_FACTORS))


class CaseDice(NamedTuple):
    """Mean Dice over the classes of one case, by kind of mask, and whether its network was trained on the case."""

    trained_on: bool
    dice: dict[str, float]


def label_map(
    shape: Sequence[int], windows: Sequence[Window], labels: Sequence[int], arrays: Sequence[npt.NDArray[np.uint8]]
) -> npt.NDArray[np.uint8]:
    """Return the label map (z, y, x) of one source: p > 0.5, each voxel with the label of its likeliest target.

    Args:
        shape: Shape (z, y, x) of the image.
        windows: Part of the image of every array.
        labels: Label of every target.
        arrays: Probability (z, y, x) in the window of every target, 0 to 255 for p from 0 to 1.
    """
    found = np.zeros(tuple(shape), dtype=np.uint8)
    highest = np.full(found.shape, 127, dtype=np.uint8)
    for window, label, array in zip(windows, labels, arrays, strict=True):
        likelier = array > highest[window]
        found[window][likelier] = label
        highest[window][likelier] = array[likelier]
    return found


def complete(workspace: BenchmarkWorkspace, record: dict[str, Any]) -> tuple[ClickedDataset, CompletionFolder]:
    """Complete the training cases of a cell, and return its dataset and the folder of the masks."""
    score = record["score"]
    trainer, number = list(record["seconds"])[-1], fold(METHODS[score["method"]], score["point_seed"])
    output = workspace.folder / "completed" / f"{record['dataset']}_{trainer}"
    output.parent.mkdir(exist_ok=True)
    words = ["-d", record["dataset"], "-tr", trainer, "-p", record["plans"], "-f", number, "-device", workspace.device]
    words += ["-np", workspace.num_processes, "-o", output]
    if paseg(["complete", *map(str, words)]) != 0:
        raise PasegError(f"{output}: not all cases are completed, see above.")
    dataset = ClickedDataset.open(record["dataset"], needs_splits=False)
    return dataset, CompletionFolder(output, {})


def scores(dataset: ClickedDataset, folder: CompletionFolder, references: Path, task: Task) -> list[CaseDice]:
    """Score the masks of both sources, and the completed ones, on all cases of a folder with targets."""
    result = []
    for case in dataset.cases(["all"]):
        record = json.loads(folder.record(case.identifier).read_text(encoding="utf-8"))
        reference = read_labels(references / f"{case.identifier}.nii.gz")[0]
        reference = (reference > 0).astype(np.uint8) if task.merge else reference
        if case.points is None or not reference.any():
            continue
        grid, _, targets = read_targets(case, dataset.labels)
        windows = [window_around(target, grid.shape) for target in targets]
        labels = [target.label for target in targets]
        arrays = [read_source(folder.source(case.identifier, source)) for source in SOURCES]
        masks = [label_map(grid.shape, windows, labels, each) for each in arrays]
        masks.append(read_labels(folder.mask(case.identifier))[0].astype(np.uint8))
        boxes = [shifted(target, -start_of(window)).box for target, window in zip(targets, windows, strict=True)]
        inside = [[array[box] for array, box in zip(each, boxes, strict=True)] for each in arrays]
        masks += [weighted(grid.shape, targets, inside, record["weights"], factor) for factor in NETWORK_FACTORS]
        dice = {kind: mean_dice(mask, reference) for kind, mask in zip(KINDS, masks, strict=True)}
        result.append(CaseDice(record["trained_on"], dice))
    return result


def weighted(
    shape: Sequence[int],
    targets: Sequence[VoxelInstance],
    inside: Sequence[Sequence[npt.NDArray[np.uint8]]],
    weights: dict[str, Any],
    factor: float,
) -> npt.NDArray[np.uint8]:
    """Return the completed label map (z, y, x) for another factor of the trained network's odds.

    Args:
        shape: Shape (z, y, x) of the image.
        targets: Targets on the voxels of the image.
        inside: For every source, the probability (z, y, x) in the box of every target, as bytes.
        weights: Weights in the record of the case, with the reliabilities.
        factor: Factor of the odds.
    """
    merged = []
    for number, target in enumerate(targets):
        known = [weights[str(target.label)][source] for source in SOURCES]
        measures = [[Measure(each["reliability"], 1, 1, each["magnitude"])] for each in known]
        merged.append(combined([each[number] for each in inside], source_weights(measures, (1, factor))))
    found = np.zeros(tuple(shape), dtype=np.uint8)
    for target, mask in zip(targets, clicked_masks(targets, merged)[0], strict=True):
        found[target.box][mask] = target.label
    return found


def row(name: str, cases: Sequence[CaseDice], trained_on: bool) -> str:
    """Return a row of the table."""
    chosen = [case.dice for case in cases if case.trained_on == trained_on]
    means = [f"{mean(dice[kind] for dice in chosen):.3f}" for kind in KINDS]
    above = sum(dice["completed"] >= max(dice[source] for source in SOURCES) for dice in chosen)
    means.insert(KINDS.index("completed") + 1, str(above))
    return f"| {name} | {'yes' if trained_on else 'no'} | {len(chosen)} | {' | '.join(means)} |"


def page(rows: Sequence[str], tasks: Sequence[str]) -> str:
    """Return the page of the table."""
    factors = " | ".join(f"factor {factor:g}" for factor in NETWORK_FACTORS)
    lines = [
        "# Completed masks of the training cases",
        "",
        "Mean Dice of the training cases, with dense masks that no training has seen as references: of the masks of",
        "the expansion network, of the trained network in a window around each target, and of `paseg complete`, which",
        "combines both with the clicks. `above` counts the cases whose completed mask is at least as good as the",
        f"better source. Last, the Dice with other factors of the network's odds; `paseg complete` has {FACTORS[1]}.",
        "",
        *origin(f"python -m benchmarks.completion DATA --workspace FOLDER --tasks {' '.join(tasks)}"),
        f"| cell | trained on | cases | expansion | network | completed | above | {factors} |",
        f"|---|---|---|---|---|---|---|{'---|' * len(NETWORK_FACTORS)}",
        *rows,
    ]
    return "\n".join([*lines, ""])


def main(argv: Sequence[str] | None = None) -> int:
    """Complete all cells of the tasks and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the dense datasets")
    parser.add_argument("--workspace", type=Path, required=True, help="workspace of the accuracy benchmark")
    tasks = [key for key in TASKS if key != "phantom"]
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=tasks, help="default: all that have cells")
    parser.add_argument("--num-processes", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS / "completion.md", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    workspace = BenchmarkWorkspace(arguments.workspace.resolve(), arguments.num_processes)
    os.environ.update(workspace.environment())
    rows: list[str] = []
    try:
        check_clean()
        for file in sorted((workspace.folder / "cells").glob("*.json")):
            record = json.loads(file.read_text(encoding="utf-8"))
            key = record["score"]["dataset"]
            if key not in arguments.tasks or (record.get("seeds") or {}).get("rule") != "learned":
                continue
            dataset, folder = complete(workspace, record)
            cases = scores(dataset, folder, arguments.data / TASKS[key].source / "labelsTr", TASKS[key])
            rows += [row(file.stem, cases, group) for group in sorted({case.trained_on for case in cases})]
            print("\n".join(rows), flush=True)
            with atomic_output(arguments.output) as temporary:
                temporary.write_text(page(rows, arguments.tasks), encoding="utf-8")
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
