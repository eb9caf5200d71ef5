"""Short trainings on the demo's phantoms, repeated with many seeds: how many of them find every target?

A training that finds a target has a Dice above 0.3 on it. All runs use the points, seeds and plans of `paseg demo`.
`stock` is nnU-Net's trainer on the same seeds, `stock-prior` the same with this package's initialisation, as in the
demo. An interrupted benchmark resumes, and finished runs are not repeated.

Example:
    python -m benchmarks.convergence --workspace /tmp/convergence
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from benchmarks.accuracy import RESULTS
from benchmarks.accuracy.source import check_clean, origin
from benchmarks.accuracy.workspace import BenchmarkWorkspace
from nnunet_paseg.demo import demo
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.evaluate import evaluate_folder
from nnunet_paseg.io.files import atomic_output

METHODS = {"stage1": "PASegStage1Trainer", "stock-prior": "nnUNetTrainer_prior", "stock": "nnUNetTrainer"}
FOUND = 0.3
"""Dice above which a target counts as found."""

EPOCH = 50
"""Iterations per epoch, as in the demo."""


class Result(NamedTuple):
    """Dice of every test phantom after one training."""

    seed: int
    dice: dict[str, float]

    @property
    def missed(self) -> list[str]:
        """Phantoms that the training did not find."""
        return [case for case, value in self.dice.items() if value <= FOUND]


def train(workspace: BenchmarkWorkspace, method: str, seed: int, iterations: int) -> Result:
    """Train with one seed, unless that is done, and return the scores of the test phantoms."""
    epochs = iterations // EPOCH
    trainer = f"{METHODS[method]}_{epochs}epochs_{EPOCH}iterations_seed{seed}"
    workspace.train(demo.DATASET, trainer, plans=demo.PLANS, fold=demo.FOLD, epochs=epochs)
    output = workspace.folder / "predictions" / trainer
    output.parent.mkdir(parents=True, exist_ok=True)
    workspace.predict(demo.DATASET, trainer, output, plans=demo.PLANS, fold=demo.FOLD, mirroring=False)
    rows = evaluate_folder(output, workspace.raw / demo.DATASET / "labelsTs")
    return Result(seed, {row.case: row.dice for row in rows})


def page(results: dict[str, list[Result]], iterations: int) -> str:
    """Return the table: one row per method, and the phantoms that were missed."""
    lines = [
        "# Short trainings that find every target",
        "",
        f"The demo's twelve test phantoms after {iterations} iterations, one training per seed. A phantom counts as",
        f"found with a Dice above {FOUND}. `stock` is nnU-Net's trainer, `stock-prior` starts as this package's do.",
        "",
        *origin(f"python -m benchmarks.convergence --workspace FOLDER --iterations {iterations}"),
        "| method | trainings | found every phantom | found none | mean Dice | lowest mean of a training | missed |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, runs in results.items():
        means = [mean(run.dice.values()) for run in runs]
        complete = sum(not run.missed for run in runs)
        empty = sum(len(run.missed) == len(run.dice) for run in runs)
        often = Counter(case for run in runs for case in run.missed).most_common(4)
        cells = (method, len(runs), complete, empty, f"{mean(means):.3f}", f"{min(means):.3f}")
        named = ", ".join(f"{case} ({count})" for case, count in often) or "none"
        lines.append(f"| {' | '.join(map(str, cells))} | {named} |")
    return "\n".join([*lines, ""])


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True, help="folder for everything nnU-Net writes")
    parser.add_argument("--seeds", type=int, default=20, help="trainings per method, with seeds 1, 2, ... (20)")
    parser.add_argument("--iterations", type=int, default=300, help=f"a multiple of {EPOCH} (default: %(default)s)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["stage1", "stock-prior"])
    parser.add_argument("--num-processes", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS / "convergence.md", help="default: %(default)s")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run all trainings, rewrite the table after each, and return 1 if one misses a phantom."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.iterations < EPOCH or arguments.iterations % EPOCH:
        parser.error(f"--iterations is {arguments.iterations}: choose a multiple of {EPOCH}")
    try:
        check_clean()
        workspace = BenchmarkWorkspace(arguments.workspace.resolve(), arguments.num_processes)
        workspace.folder.mkdir(parents=True, exist_ok=True)
        demo.prepare(workspace)
        results: dict[str, list[Result]] = {}
        for seed in range(1, arguments.seeds + 1):
            for method in arguments.methods:
                result = train(workspace, method, seed, arguments.iterations)
                results.setdefault(method, []).append(result)
                lowest = min(result.dice.values())
                print(f"{method}, seed {seed}: mean {mean(result.dice.values()):.3f}, lowest {lowest:.3f}", flush=True)
                with atomic_output(arguments.output) as temporary:
                    temporary.write_text(page(results, arguments.iterations), encoding="utf-8")
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(page(results, arguments.iterations))
    return int(any(run.missed for runs in results.values() for run in runs))


if __name__ == "__main__":
    sys.exit(main())
