"""Time of one training step of every trainer, relative to a step of stock nnU-Net with the same plans.

The datasets are converted and planned with nnU-Net's default plans. All trainers take turns on the same batches, so
that a slower machine slows all of them. On a CPU the process time is measured, which excludes other work on the
machine. With OMP_NUM_THREADS=1 it also excludes threads that wait for each other.

The table also lists a step of stock nnU-Net with the auxiliary network. Stage 2 trains both networks and predicts with
a teacher of each. A forward pass is about a third of a step, so its expected cost is 4/3 of the sum of both steps.

Example:
    python -m benchmarks.steps DATA --workspace /tmp/steps
DATA contains the dense datasets named in TASKS below.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.accuracy.source import check_clean, origin
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.nnunet.workspace import Workspace

HERE = Path(__file__).resolve().parent
TASKS = {
    "hippocampus": ("Dataset004_Hippocampus", 340, ["--merge", "hippocampus"]),
    "abdomen": ("Dataset070_AbdomenMR", 341, []),
}
BASELINE = "nnUNetTrainer"
AUXILIARY = f"{BASELINE}, auxiliary network"
TRAINERS = (BASELINE, AUXILIARY, "PASegStage1Trainer", "PASegStage1AuxTrainer", "PASegStage2Trainer")


def prepare(workspace: Workspace, task: str, data: Path) -> Path:
    """Convert and plan a task with nnU-Net's defaults, and return the folder of its preprocessed data."""
    source, number, options = TASKS[task]
    dataset = f"Dataset{number}_{source.partition('_')[2]}"
    if not (workspace.raw / dataset).exists():
        script = HERE.parent / "dataset_conversion" / "from_dense_dataset.py"
        workspace.run(sys.executable, script, data / source, number, "--num-train", 10, *options)
    workspace.plan(number)
    return workspace.preprocessed / dataset


def make_trainer(name: str, folder: Path, device: torch.device) -> Any:
    """Return an initialised trainer with the default plans."""
    from nnunet_paseg.trainers import PASegStage1AuxTrainer, trainer_class

    plans = {**json.loads((folder / "nnUNetPlans.json").read_text(encoding="utf-8")), "continue_training": False}
    dataset = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    trainer: Any = trainer_class(name.partition(",")[0])(plans, "3d_fullres", 0, dataset, device)
    if name == AUXILIARY:
        trainer.build_network_architecture = PASegStage1AuxTrainer.build_network_architecture
    trainer.initialize()
    trainer.set_deep_supervision_enabled(True)
    return trainer


def seconds(trainer: Any, batch: dict[str, Any]) -> float:
    """Return the seconds of one training step: process time on a CPU, wall-clock time on a GPU."""
    clock = time.perf_counter if trainer.device.type == "cuda" else time.process_time
    copy = {"data": batch["data"].clone(), "target": [target.clone() for target in batch["target"]]}
    started = clock()
    trainer.train_step(copy)
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def measure(folder: Path, device: torch.device, repeats: int) -> tuple[str, dict[str, list[float]]]:
    """Return a description of the plans, and the step times per trainer."""
    trainers = {name: make_trainer(name, folder, device) for name in TRAINERS}
    stock = trainers[BASELINE]
    loader, _ = stock.get_dataloaders()
    batches = [next(loader) for _ in range(3)]
    times: dict[str, list[float]] = {name: [] for name in trainers}
    for repeat in range(repeats + 1):
        for name, trainer in trainers.items():
            took = seconds(trainer, batches[repeat % len(batches)])
            if repeat:  # the first round warms up
                times[name].append(took)
    plan = stock.configuration_manager
    features = plan.network_arch_init_kwargs["features_per_stage"][0]
    return f"patch {'x'.join(map(str, plan.patch_size))}, batch {plan.batch_size}, {features} base features", times


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the dense datasets")
    parser.add_argument("--workspace", type=Path, required=True, help="folder for all output of nnU-Net")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="default: all")
    parser.add_argument("--repeats", type=int, default=7, help="measured steps per trainer (default: %(default)s)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "steps.md", help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        check_clean()
    except PasegError as error:
        parser.exit(2, f"error: {error}\n")
    workspace = Workspace(arguments.workspace.resolve(), device=arguments.device)
    os.environ.update(workspace.environment())
    device = torch.device(arguments.device)
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, threads: {torch.get_num_threads()}"
    lines = [
        "# One training step relative to stock nnU-Net",
        "",
        f"{where}, torch {torch.__version__}, {arguments.repeats} rounds. Ratio of medians, and the smallest and",
        "largest ratio per round.",
        "",
        *origin(f"python -m benchmarks.steps DATA --workspace FOLDER --repeats {arguments.repeats}"),
        "| plans | trainer | seconds | ratio | smallest – largest |",
        "|---|---|---|---|---|",
    ]
    for task in arguments.tasks:
        plan, times = measure(prepare(workspace, task, arguments.data.resolve()), device, arguments.repeats)
        base = times[BASELINE]
        for name, own in times.items():
            ratios = [a / b for a, b in zip(own, base, strict=True)]
            middle = statistics.median(own)
            lines.append(
                f"| {task}: {plan} | {name} | {middle:.2f} | {middle / statistics.median(base):.2f} | "
                f"{min(ratios):.2f} – {max(ratios):.2f} |"
            )
            print(lines[-1], flush=True)
    with atomic_output(arguments.output) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
