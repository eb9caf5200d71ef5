"""`paseg demo`: the complete pipeline on phantoms, from seven points per target to scores and a figure."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_paseg.errors import PasegError

if TYPE_CHECKING:
    from nnunet_paseg.evaluation.table import Row
    from nnunet_paseg.nnunet.workspace import Workspace

NUM_TRAIN, NUM_TEST, SHAPE, SPACING_MM = 24, 12, (16, 32, 32), (2.0, 1.0, 1.0)
DATASET_ID, DATASET, PLANS, FOLD, FEATURES = 901, "Dataset901_Phantom", "demoPlans", 0, 8


@dataclass(frozen=True)
class Budget:
    """Length of every training, the same for all methods."""

    epochs: int = 10
    iterations: int = 50

    @property
    def suffix(self) -> str:
        """Ending of the trainers' names."""
        return f"_{self.epochs}epochs_{self.iterations}iterations"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="run the complete pipeline on phantoms (8 to 15 minutes on two CPU cores)",
        description="Create phantoms, simulate seven points per lesion, and train both stages and the seeds-only "
        "baseline with nnU-Net's own commands. Then predict, score and draw. An interrupted demo resumes when it is "
        "started again. The folder contains nnU-Net's three folders, logs, scores.json and the figure.",
        epilog="example: paseg demo --output paseg_demo --device cuda",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("paseg_demo"), help="folder (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), default="cpu", help="default: %(default)s")
    parser.add_argument("--num-processes", type=int, default=min(2, os.cpu_count() or 1), help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=Budget.epochs, help="epochs per training (default: %(default)s)")
    parser.add_argument(
        "--iterations", type=int, default=Budget.iterations, help="training steps per epoch (default: %(default)s)"
    )
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    from nnunet_paseg.nnunet.workspace import Workspace

    workspace = Workspace(arguments.output.resolve(), arguments.num_processes, arguments.device)
    run_demo(workspace, Budget(arguments.epochs, arguments.iterations))
    return 0


def run_demo(workspace: Workspace, budget: Budget) -> dict[str, float]:
    """Run all steps that are not done yet.

    Returns:
        Mean foreground Dice on the test phantoms by method.

    Raises:
        PasegError: The folder contains a demo of a different length, or a command failed.
    """
    from nnunet_paseg.demo.figure import draw_cases
    from nnunet_paseg.evaluation.table import mean_scores
    from nnunet_paseg.io.files import write_json

    record = workspace.folder / "budget.txt"
    if record.exists() and (other := record.read_text(encoding="utf-8")) != budget.suffix:
        raise PasegError(
            f"{workspace.folder} contains a demo of a different length ({other}): pass a different --output."
        )
    workspace.folder.mkdir(parents=True, exist_ok=True)
    record.write_text(budget.suffix, encoding="utf-8")
    prepare(workspace)
    trainers = {
        "seeds": f"nnUNetTrainer_prior{budget.suffix}",
        "stage1": f"PASegStage1Trainer{budget.suffix}",
        "auxiliary": f"PASegStage1AuxTrainer{budget.suffix}",
        "stage2": f"PASegStage2Trainer{budget.suffix}",
    }
    titles = {
        "seeds": "nnU-Net on the seeds alone, for comparison",
        "stage1": "Stage 1, primary network",
        "auxiliary": "Stage 1, auxiliary network",
        "stage2": "Stage 2, both networks",
    }
    for method, trainer in trainers.items():
        print(f"\n{titles[method]}")
        workspace.train(DATASET, trainer, plans=PLANS, fold=FOLD, epochs=budget.epochs)
    print("\nPredictions for the test phantoms")
    predictions = {
        method: workspace.predict(
            DATASET,
            trainers[method],
            workspace.folder / "predictions" / method,
            plans=PLANS,
            fold=FOLD,
            mirroring=False,
        )
        for method in ("seeds", "stage1", "stage2")
    }
    scores = score(workspace, predictions)
    means = {method: round(mean_scores(rows)[-1].dice, 4) for method, rows in scores.items()}
    write_json(means, workspace.folder / "scores.json")
    figure = workspace.folder / "demo.png"
    dice = {method: {row.case: row.dice for row in rows} for method, rows in scores.items()}
    draw_cases(workspace.raw / DATASET, predictions, dice, figure)
    print(f"\nScores: {workspace.folder / 'scores.json'}\nFigure: {figure}")
    return means


def prepare(workspace: Workspace) -> None:
    """Create, convert and plan the phantoms, as far as that is not done yet."""
    convert_phantoms(workspace)
    workspace.plan(DATASET_ID)
    workspace.small_plans(DATASET, PLANS, features=FEATURES)
    write_split(workspace)


def convert_phantoms(workspace: Workspace) -> None:
    """Create dense phantoms and convert them to a dataset with points."""
    from nnunet_paseg.conversion.convert import convert
    from nnunet_paseg.conversion.plan import Case, DatasetPlan
    from nnunet_paseg.demo.phantom import write_phantom_dataset
    from nnunet_paseg.io.files import atomic_output

    dense = workspace.folder / "phantoms"
    if not dense.exists():
        print(f"Drawing {NUM_TRAIN} training and {NUM_TEST} test phantoms")
        with atomic_output(dense) as temporary:
            write_phantom_dataset(
                temporary, num_train=NUM_TRAIN, num_test=NUM_TEST, shape_zyx=SHAPE, spacing_mm=SPACING_MM
            )
    if (workspace.raw / DATASET).exists():
        return
    cases = []
    for suffix, split in (("Tr", "train"), ("Ts", "test")):
        for mask in sorted((dense / f"labels{suffix}").glob("*.nii.gz")):
            identifier = mask.name.removesuffix(".nii.gz")
            image = dense / f"images{suffix}" / f"{identifier}_0000.nii.gz"
            cases.append(Case(identifier, (image,), mask=mask, annotation="simulated", split=split))  # type: ignore[arg-type]
    workspace.raw.mkdir(parents=True, exist_ok=True)
    convert(cases, DatasetPlan(DATASET, ("MRI",), ("lesion",)), workspace.raw, num_processes=1)


def write_split(workspace: Workspace) -> None:
    """Write a split with all phantoms for training and one for validation, which nnU-Net runs after each training."""
    from nnunet_paseg.io.files import write_json

    labels = sorted((workspace.raw / DATASET / "labelsTr").glob("*.nii.gz"))
    cases = [file.name.removesuffix(".nii.gz") for file in labels]
    write_json([{"train": cases, "val": cases[:1]}], workspace.preprocessed / DATASET / "splits_final.json")


def score(workspace: Workspace, predictions: dict[str, Path]) -> dict[str, list[Row]]:
    """Print the scores of all methods and return the rows of every method."""
    from nnunet_paseg.evaluation.evaluate import evaluate_folder
    from nnunet_paseg.evaluation.table import mean_scores, write_csv

    references = workspace.raw / DATASET / "labelsTs"
    print(f"\n{'method':10} {'Dice':>6} {'ASSD mm':>8} {'HD95 mm':>8}   ({NUM_TEST} test phantoms)")
    scores = {}
    for method, folder in predictions.items():
        scores[method] = evaluate_folder(folder, references)
        write_csv(scores[method], workspace.folder / f"scores_{method}.csv", preset="default")
        mean = mean_scores(scores[method])[-1]
        undefined = f"   distances undefined in {mean.undefined_distances} cases" if mean.undefined_distances else ""
        print(f"{method:10} {mean.dice:6.3f} {mean.assd_mm:8.2f} {mean.hd95_mm:8.2f}{undefined}")
    return scores
