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
from benchmarks.accuracy.execute import BenchmarkWorkspace, execute
from benchmarks.accuracy.grid import HEADLINE, METHODS, POINT_SEEDS, TASKS
from benchmarks.accuracy.plots import plot_economics, plot_gaps
from benchmarks.accuracy.runs import PRESETS, runs
from benchmarks.accuracy.scores import Score, keep, read
from benchmarks.accuracy.tables import page
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
        "--methods", nargs="+", choices=METHODS, default=list(HEADLINE), help=f"default: {' '.join(HEADLINE)}"
    )
    parser.add_argument("--point-seeds", nargs="+", type=int, choices=POINT_SEEDS, default=[0], help="default: 0")
    parser.add_argument(
        "--weight-seeds",
        nargs="+",
        type=int,
        default=[0],
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
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of accuracy.csv (default: %(default)s)")
    parser.add_argument("--tables-only", action="store_true", help="rewrite tables and figures, run nothing")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Execute the requested runs, rewrite the tables after each, and return the exit status."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    file, output = arguments.output / "accuracy.csv", arguments.output
    if not arguments.tables_only:
        if arguments.data is None or arguments.workspace is None:
            parser.error("DATA and --workspace are required, except with --tables-only")
        preset = PRESETS[arguments.preset]
        workspace = BenchmarkWorkspace(
            arguments.workspace.resolve(),
            arguments.num_processes or preset.num_processes,
            arguments.device or preset.device,
        )
        grid = runs(
            arguments.tasks,
            arguments.methods,
            arguments.point_seeds,
            arguments.weight_seeds,
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
