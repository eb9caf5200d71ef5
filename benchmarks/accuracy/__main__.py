"""Run the grid, or a part of it, and write the tables after every run.

An interrupted grid resumes, and finished runs are not repeated.

Example:
    python -m benchmarks.accuracy DATA --workspace /tmp/accuracy --tasks hippocampus-2mm atrium-4mm
DATA is the folder of the dense datasets named in grid.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy import RESULTS
from benchmarks.accuracy.execute import execute
from benchmarks.accuracy.grid import DEFAULT_METHODS, METHODS, POINT_SEEDS
from benchmarks.accuracy.plots import plot_economics, plot_gaps
from benchmarks.accuracy.runs import PRESETS, Seeds, repeats, runs
from benchmarks.accuracy.scores import Score, keep, read
from benchmarks.accuracy.source import check_clean
from benchmarks.accuracy.tables import page
from benchmarks.accuracy.tasks import TASKS
from benchmarks.accuracy.workspace import BenchmarkWorkspace
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output


def write_results(scores: Sequence[Score], output: Path) -> None:
    """Write the tables and both figures of the runs."""
    output.mkdir(parents=True, exist_ok=True)
    with atomic_output(output / "accuracy.md") as temporary:
        temporary.write_text(page(scores, output), encoding="utf-8")
    plot_gaps(scores, output / "gap_closed.png")
    plot_economics(scores, output / "economics.png")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, nargs="?", help="folder of the dense datasets")
    parser.add_argument("--workspace", type=Path, help="folder for everything nnU-Net writes")
    tasks = [name for name in TASKS if name != "phantom"]
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=tasks, help="default: all but the phantoms")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=DEFAULT_METHODS, help=f"default: {' '.join(DEFAULT_METHODS)}"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        choices=range(1, len(POINT_SEEDS) + 1),
        help="runs per method, the first with point seed 0 and training seed 1, the next with 1 and 2 ...",
    )
    parser.add_argument("--point-seeds", nargs="+", type=int, choices=POINT_SEEDS, help="default: 0")
    parser.add_argument(
        "--weight-seeds",
        nargs="+",
        type=int,
        help="seeds of the trainings; 0: unseeded, as nnU-Net trains (default)",
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="cpu",
        help="cpu: small networks, 20 epochs of 250 iterations; gpu: nnU-Net's own plans and 1000 epochs of 250 "
        "(default: %(default)s)",
    )
    parser.add_argument("--epochs", type=int, help="epochs per training (default: the preset's)")
    parser.add_argument("--iterations", type=int, help="iterations per epoch (default: the preset's)")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="default: the preset's")
    parser.add_argument("--num-processes", type=int, help="default: the preset's")
    parser.add_argument(
        "--geodistk-python", metavar="PATH", help="interpreter that can import GeodisTK, for the published seeds"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of accuracy.csv (default: %(default)s)")
    parser.add_argument("--tables-only", action="store_true", help="rewrite tables and figures, run nothing")
    return parser


def seeds_of(arguments: argparse.Namespace) -> list[Seeds]:
    """Return the seeds of the runs: of the repeats, or every training seed with every point seed."""
    if arguments.repeats:
        return repeats(arguments.repeats)
    return [Seeds(point, weight) for weight in arguments.weight_seeds or [0] for point in arguments.point_seeds or [0]]


def main(argv: Sequence[str] | None = None) -> int:
    """Execute the requested runs, rewrite the tables after each, and return the exit status."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    file, output = arguments.output / "accuracy.csv", arguments.output
    if not arguments.tables_only:
        if arguments.data is None or arguments.workspace is None:
            parser.error("DATA and --workspace are required, except with --tables-only")
        if arguments.repeats and (arguments.point_seeds or arguments.weight_seeds):
            parser.error("--repeats chooses the seeds: omit --point-seeds and --weight-seeds")
        try:
            check_clean()
        except PasegError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        preset = PRESETS[arguments.preset]
        workspace = BenchmarkWorkspace(
            arguments.workspace.resolve(),
            arguments.num_processes or preset.num_processes,
            arguments.device or preset.device,
            arguments.geodistk_python,
        )
        grid = runs(
            arguments.tasks,
            arguments.methods,
            seeds_of(arguments),
            preset=arguments.preset,
            epochs=arguments.epochs,
            iterations=arguments.iterations,
        )
        failed = []
        for run in grid:
            print(f"\n== {run.name}", flush=True)
            try:
                scores = keep(execute(workspace, run, arguments.data.resolve(), output), file)
            except PasegError as error:
                # The remaining runs may take hours: the failures are repeated at the end.
                print(f"error: {error}", file=sys.stderr)
                failed.append(run.name)
                continue
            write_results(scores, output)
        if failed:
            print(f"error: {len(failed)} runs failed: {', '.join(failed)}", file=sys.stderr)
            return 2
    write_results(read(file), output)
    print((output / "accuracy.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
