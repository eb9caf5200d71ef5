"""Repeat one run and compare it with the committed row.

With a folder of real data, the run is stock nnU-Net on seeds of the hippocampus at 2 mm, 5000 iterations. Without data,
it is the same on phantoms, 500 iterations. Both take less than half an hour on two CPU cores.

Example:
    python -m benchmarks.accuracy.quick DATA --workspace /tmp/quick
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy import RESULTS
from benchmarks.accuracy.execute import execute
from benchmarks.accuracy.runs import Run, Seeds, runs
from benchmarks.accuracy.scores import Score, read
from benchmarks.accuracy.tasks import TASKS
from benchmarks.accuracy.workspace import BenchmarkWorkspace
from nnunet_paseg.demo.phantom import write_phantom_dataset
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output

METHOD = "learned"
"""Method of the run."""

TOLERANCES = {"hippocampus-2mm": 0.03, "phantom": 0.1}
"""Tolerances in Dice.

The run on phantoms has no seed, a tenth of the iterations and 12 test cases. The run on the hippocampus starts from
the same weights and sees the same batches: it differs only by the rounding of a different processor.
"""


def committed(run: Run, folder: Path) -> Score:
    """Return the committed score of the same run.

    Raises:
        PasegError: There is no such row.
    """
    wanted = (run.task, run.method, run.point_seed, run.epochs * run.iterations, run.weight_seed, run.preset)
    for score in read(folder / "accuracy.csv"):
        if score.key == wanted:
            return score
    raise PasegError(f"{folder / 'accuracy.csv'} has no row of {run.name}: choose a committed run.")


def compare(new: Score, old: Score, seconds: float) -> tuple[str, bool]:
    """Return the text to print, and whether the new value is within the tolerance."""
    difference, tolerance = new.dice - old.dice, TOLERANCES[new.dataset]
    close = abs(difference) <= tolerance
    lines = [
        f"{new.dataset}, {new.method}, {new.iterations} iterations, in {seconds / 60:.0f} minutes",
        f"Dice: committed {old.dice:.3f}, this run {new.dice:.3f}, difference {difference:+.3f}, tolerance {tolerance}",
        f"ASSD: committed {old.assd_mm:.2f} mm, this run {new.assd_mm:.2f} mm",
        "reproduced" if close else "NOT reproduced",
    ]
    return "\n".join(lines), close


def make_phantoms(folder: Path) -> Path:
    """Write the dense phantoms, if they are missing, and return their folder."""
    task = TASKS["phantom"]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / task.source).exists():
        with atomic_output(folder / task.source) as temporary:
            cases = task.num_train + task.num_test
            write_phantom_dataset(temporary, num_train=cases, num_test=0, shape_zyx=(16, 32, 32))
    return folder


def main(argv: Sequence[str] | None = None) -> int:
    """Execute the run, compare it and return the exit status: 1 if the row is not reproduced."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.quick",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, nargs="?", help="folder of the dense datasets (default: phantoms)")
    parser.add_argument("--workspace", type=Path, required=True, help="new folder for everything nnU-Net writes")
    parser.add_argument("--num-processes", type=int, default=2, help="default: %(default)s")
    arguments = parser.parse_args(argv)
    workspace = BenchmarkWorkspace(arguments.workspace.resolve(), arguments.num_processes)
    try:
        if arguments.data is None:
            [run] = runs(["phantom"], [METHOD], [Seeds(0, 0)])
            data, results = make_phantoms(workspace.folder / "phantoms"), RESULTS / "phantom"
        else:
            [run] = runs(["hippocampus-2mm"], [METHOD], [Seeds(0, 1)])
            data, results = arguments.data.resolve(), RESULTS
        if (workspace.folder / "cells" / f"{run.name}.json").exists():
            print(f"This run is already finished: to repeat it, delete {workspace.folder}.")
        old, started = committed(run, results), time.monotonic()
        new = execute(workspace, run, data, workspace.folder / "new_results")
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text, close = compare(new, old, time.monotonic() - started)
    print(text)
    return 0 if close else 1


if __name__ == "__main__":
    sys.exit(main())
