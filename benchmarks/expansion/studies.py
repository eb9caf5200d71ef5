"""Studies of the expansion network: inaccurate clicks, thick slices, other sets of clicks, several image channels.

Example:
    python -m benchmarks.expansion.studies DATA --half choose --limit 8
The tables become a part of results/expansion.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.expansion import clicks
from benchmarks.expansion.datasets import load_targets
from benchmarks.expansion.halves import NAMES
from benchmarks.expansion.methods import Cuts, learned
from benchmarks.expansion.records import provenance, read_results, write_results
from benchmarks.expansion.scores import summarise
from benchmarks.expansion.target import Target, largest_component
from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.learned.weights import Expander, load_expander

Change = Callable[[Target], Target]

SMALLEST_AREA = 20
"""Smallest target in a single slice, in voxels."""


@dataclass(frozen=True)
class Study:
    """Changes of targets or clicks that are compared in one table.

    Attributes:
        title: Heading of the table.
        note: Sentence below it.
        changes: Changed target by the heading of its column.
    """

    title: str
    note: str
    changes: dict[str, Change]


def averaged_slices(target: Target, count: int) -> Target:
    """Return the target with each block of ``count`` slices replaced by its mean."""
    starts = np.arange(0, target.image.shape[1], count)
    lengths = np.diff([*starts, target.image.shape[1]])
    means = np.add.reduceat(target.image, starts, axis=1) / lengths[:, None, None]
    return replace(target, image=np.repeat(means, lengths, axis=1).astype(np.float32))


def single_slice(target: Target) -> Target:
    """Return the 2D target in the slice of the largest area, with four clicks; without draws if it is too small."""
    index = int(target.mask.sum(axis=(1, 2)).argmax())
    mask = largest_component(target.mask[index : index + 1])
    flat = replace(target, image=target.image[:, index : index + 1], mask=mask, draws=())
    return clicks.simulate_draws(flat, len(target.draws)) if mask.sum() >= SMALLEST_AREA else flat


def more_channels(target: Target, *, noise: bool) -> Target:
    """Return the target with a second channel: its first one again, or noise."""
    first = target.image[:1]
    second = clicks.random_generator(target, 0).standard_normal(first.shape, dtype=np.float32) if noise else first
    return replace(target, image=np.concatenate([first, second]))


STUDIES = (
    Study(
        "Distance of the clicks from the faces",
        "Columns: voxels outside each face. At 0 the outermost planes of the target are outside the box.",
        {str(off): lambda target, off=off: clicks.noisy_draws(target, len(target.draws), off) for off in range(6)},  # type: ignore[misc]
    ),
    Study(
        "Depth of the inner point",
        "Columns: distance from the surface as a fraction of the largest one. The default is the deepest voxel.",
        {
            f"{depth:g}": lambda target, depth=depth: clicks.inner_points(target, depth)  # type: ignore[misc]
            for depth in (1.0, 0.8, 0.6, 0.4, 0.2)
        },
    ),
    Study(
        "Thick slices",
        "Columns: number of slices along z whose mean replaces each of them.",
        {str(count): lambda target, count=count: averaged_slices(target, count) for count in (1, 2, 3, 4)},  # type: ignore[misc]
    ),
    Study(
        "Other sets of clicks",
        "A single slice is a 2D image: Dice there is that of an area.",
        {
            "seven clicks": lambda target: target,
            "four clicks in a single slice": single_slice,
            "inner point and box": clicks.box_only,
            "three inner points": lambda target: clicks.several_inner_points(target, 3),
            "three background points in the box": lambda target: clicks.background_points(target, 3),
        },
    ),
    Study(
        "Several image channels",
        "The second channel is added to the image.",
        {
            "the image": lambda target: replace(target, image=target.image[:1]),
            "the image twice": lambda target: more_channels(target, noise=False),
            "the image and noise": lambda target: more_channels(target, noise=True),
        },
    ),
)


def run_study(study: Study, targets: Sequence[Target], expander: Expander) -> dict[str, Any]:
    """Return the mean Dice by kind of target and column, and the number of draws without clicks by column."""
    rows: dict[tuple[str, str], dict[str, float]] = {(target.dataset, target.kind): {} for target in targets}
    missing = {}
    for column, change in tqdm(study.changes.items(), desc=study.title, unit="column", disable=None):
        changed: Iterable[Target] = (change(target) for target in targets)
        summaries = summarise(column, learned(expander, Cuts()), changed, progress=False)
        for summary in summaries:
            rows[summary.dataset, summary.kind][column] = round(summary.mean("dice"), 4)
        scored = sum(len(summary.scores) for summary in summaries)
        missing[column] = sum(len(target.draws) for target in targets) - scored
    return {
        "title": study.title,
        "note": study.note,
        "columns": list(study.changes),
        "rows": [{"dataset": dataset, "kind": kind, "dice": dice} for (dataset, kind), dice in rows.items()],
        "missing": {column: count for column, count in missing.items() if count},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run all studies, write the page and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.expansion.studies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, help="folder of dense datasets")
    parser.add_argument("--half", choices=NAMES, default=NAMES[0], help="half of the cases (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=3, help="draws of clicks per target (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="maximum number of cases per dataset (default: all)")
    parser.add_argument("--weights", type=Path, help="file of weights (default: the shipped one)")
    parser.add_argument("--cache", type=Path, help="file that keeps targets and clicks, outside the repository")
    argv = sys.argv[1:] if argv is None else argv
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        expander = load_expander(arguments.weights)
        targets = load_targets(
            arguments.data, arguments.half, draws=arguments.draws, limit=arguments.limit, cache=arguments.cache
        )
        tables = [run_study(study, targets, expander) for study in STUDIES]
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    origin = provenance("benchmarks.expansion.studies", argv, arguments.data)
    write_results({**read_results(), "studies": {**origin, "weights": expander.sha256, "tables": tables}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
