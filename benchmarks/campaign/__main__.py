"""A simulated campaign: which scans to click next, chosen by the trained network's doubt or at random?

A campaign starts with points on ten random training cases. Four times, points on five more cases are added, and stock
nnU-Net is trained anew on the learned seeds of all clicked cases. `random` adds random cases. `doubt` adds those that
the last network is least sure of: the lowest expected Dice, which its own probabilities predict for its masks. Both
start from the same training. Repeats differ in the first cases and in the training seed. An interrupted campaign
resumes, and finished trainings are not repeated.

Example:
    python -m benchmarks.campaign DATA --workspace /tmp/campaign --tasks glioma atrium-4mm
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from benchmarks.accuracy import RESULTS
from benchmarks.accuracy.budget import drawn
from benchmarks.accuracy.datasets import cases_in, prepare
from benchmarks.accuracy.runs import Run
from benchmarks.accuracy.source import check_clean, origin
from benchmarks.accuracy.tasks import TASKS
from benchmarks.accuracy.workspace import BenchmarkWorkspace
from benchmarks.campaign.steps import ROUNDS, START, STRATEGIES, Step, doubt, next_cases
from nnunet_paseg.completion.networks import Networks
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.evaluate import evaluate_folder
from nnunet_paseg.evaluation.table import mean_scores
from nnunet_paseg.io.files import atomic_output, write_json

ITERATIONS = 250
"""Iterations per epoch."""


class Campaign:
    """The trainings of one task in a workspace."""

    def __init__(self, workspace: BenchmarkWorkspace, task: str, data: Path, epochs: int) -> None:
        self.workspace, self.task, self.epochs = workspace, task, epochs
        self.dataset, self.plans = prepare(workspace, Run(task, "learned", 0, epochs, ITERATIONS), data)
        self.raw = workspace.raw / self.dataset

    def run(self, repeat: int) -> list[tuple[Step, float]]:
        """Return the mean test Dice of every step of one repeat."""
        order = drawn(cases_in(self.raw, "Tr"), repeat)
        results = []
        for strategy in STRATEGIES:
            clicked = order[:START]
            for number in range(ROUNDS + 1):
                step = Step(self.task, repeat, strategy, number)
                results.append((step, self.dice(step, clicked)))
                if number < ROUNDS:
                    doubts = self.doubts(step, clicked, order) if strategy == "doubt" else {}
                    clicked = next_cases(strategy, clicked, order, doubts)
        return results

    def trainer(self, step: Step) -> str:
        """Return the name of the trainer."""
        return "nnUNetTrainer" + Run(self.task, "learned", 0, self.epochs, ITERATIONS, step.repeat + 1).suffix

    def dice(self, step: Step, clicked: Sequence[str]) -> float:
        """Train on the clicked cases, unless that is done, and return the mean Dice of the test cases."""
        record = self.workspace.folder / "campaign" / f"{step.name}.json"
        if not record.exists():
            self._write_fold(step.fold, clicked)
            trainer, fold = self.trainer(step), step.fold
            self.workspace.train(self.dataset, trainer, plans=self.plans, fold=fold, epochs=self.epochs)
            output = self.workspace.folder / "predictions" / f"{self.task}_fold{fold}"
            output.parent.mkdir(parents=True, exist_ok=True)
            self.workspace.predict(self.dataset, trainer, output, plans=self.plans, fold=fold, mirroring=False)
            rows = evaluate_folder(output, self.raw / "labelsTs", num_processes=self.workspace.num_processes)
            record.parent.mkdir(parents=True, exist_ok=True)
            write_json({"dice": mean_scores(rows)[-1].dice, "clicked": list(clicked)}, record)
        value = float(json.loads(record.read_text(encoding="utf-8"))["dice"])
        print(f"{step.name}: {len(clicked)} cases, Dice {value:.3f}", flush=True)
        return value

    def doubts(self, step: Step, clicked: Sequence[str], order: Sequence[str]) -> dict[str, float]:
        """Return the doubt of the last network about every case that is not clicked."""
        file = self.workspace.folder / "campaign" / f"{step.name}_doubts.json"
        if not file.exists():
            model = self.workspace.results / self.dataset / f"{self.trainer(step)}__{self.plans}__3d_fullres"
            networks = Networks(model, [str(step.fold)], "cpu", self.workspace.num_processes)
            others = [case for case in order if case not in clicked]
            images = [[self.raw / "imagesTr" / f"{case}_0000.nii.gz"] for case in others]
            labels = networks.label_manager.foreground_labels
            found = {
                others[number]: doubt(networks.probabilities(data, properties), labels)
                for number, data, properties in networks.preprocessed(images)
            }
            write_json(found, file)
        return dict(json.loads(file.read_text(encoding="utf-8")))

    def _write_fold(self, fold: int, clicked: Sequence[str]) -> None:
        # nnU-Net finds a fold by its place in the list. Its validation at the end of a training is not used.
        file = self.workspace.preprocessed / self.dataset / "splits_final.json"
        splits = json.loads(file.read_text(encoding="utf-8"))
        splits += [splits[0]] * (fold + 1 - len(splits))
        splits[fold] = {"train": sorted(clicked), "val": sorted(clicked)[:2]}
        write_json(splits, file)


def page(results: Sequence[tuple[Step, float]], command: str) -> str:
    """Return the table: one row per task and number of clicked cases."""
    lines = [
        "# Which scans to click next",
        "",
        "Mean Dice of the test cases after each round of a simulated campaign: mean and SD over the repeats, in",
        "brackets their number. `doubt` clicks the scans that the last network is least sure of, `random` any.",
        "",
        *origin(command),
        f"| task | clicked cases | {' | '.join(STRATEGIES)} | difference |",
        f"|---|---|{'---|' * (len(STRATEGIES) + 1)}",
    ]
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for step, dice in results:
        found.setdefault((step.task, step.clicked), {name: [] for name in STRATEGIES})[step.strategy].append(dice)
    for (task, clicked), values in found.items():
        pairs = zip(*(values[name] for name in ("doubt", "random")), strict=True)
        cells = [*(_spread(values[name]) for name in STRATEGIES), _spread([a - b for a, b in pairs], "+")]
        lines.append(f"| {task} | {clicked} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _spread(values: Sequence[float], sign: str = "") -> str:
    deviation = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{fmean(values):{sign}.3f}{deviation} ({len(values)})"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaigns and write the table after each repeat."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the dense datasets")
    parser.add_argument("--workspace", type=Path, required=True, help="new folder for everything nnU-Net writes")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["glioma", "atrium-4mm"])
    parser.add_argument("--repeats", type=int, default=3, help="campaigns per task (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help=f"epochs of {ITERATIONS} iterations (%(default)s)")
    parser.add_argument("--num-processes", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS / "campaign.md", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    workspace = BenchmarkWorkspace(arguments.workspace.resolve(), arguments.num_processes)
    os.environ.update(workspace.environment())
    command = f"python -m benchmarks.campaign DATA --workspace FOLDER --tasks {' '.join(arguments.tasks)}"
    command += f" --repeats {arguments.repeats} --epochs {arguments.epochs}"
    results: list[tuple[Step, float]] = []
    try:
        check_clean()
        for task in arguments.tasks:
            campaign = Campaign(workspace, task, arguments.data.resolve(), arguments.epochs)
            for repeat in range(arguments.repeats):
                results += campaign.run(repeat)
                with atomic_output(arguments.output) as temporary:
                    temporary.write_text(page(results, command), encoding="utf-8")
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(page(results, command))
    return 0


if __name__ == "__main__":
    sys.exit(main())
