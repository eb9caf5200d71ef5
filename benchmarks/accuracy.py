"""Accuracy on real data at equal plans and iterations: seeds alone, stage 1, stage 2, dense masks.

Dense nnU-Net raw datasets are split by case, seven points per target are simulated on the training masks, and every
method is trained and scored with nnU-Net's own commands. Every finished cell is kept; started again, the benchmark goes
on where it was. The table says which part of the gap between the seeds and dense masks each method closes.

Example:
    python benchmarks/accuracy.py DATA --workspace /tmp/accuracy --tasks hippocampus atrium
DATA holds the dense datasets named in TASKS below.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from nnunet_paseg.evaluate import evaluate_folder
from nnunet_paseg.files import moved_into_place, write_json
from nnunet_paseg.score_table import mean_scores
from nnunet_paseg.workspace import Workspace

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


@dataclass(frozen=True)
class Task:
    """A dataset and a network small enough for two CPU cores.

    Attributes:
        source: folder of the dense dataset.
        dataset_id: of the densely labelled dataset; the point datasets have the next numbers.
        num_train, num_test: cases, drawn with seed 0.
        merge: name of the one class that all classes become, or None to keep them.
        spacing_mm: (z, y, x) to work at, or None for nnU-Net's choice.
        features: of the network's first stage.
    """

    source: str
    dataset_id: int
    num_train: int
    num_test: int
    merge: str | None = None
    spacing_mm: tuple[float, float, float] | None = None
    features: int = 8


TASKS = {
    "hippocampus": Task("Dataset004_Hippocampus", 310, 60, 40, merge="hippocampus"),
    "atrium": Task("Dataset050_LeftAtrium", 320, 45, 30, spacing_mm=(2.5, 2.5, 2.5)),
}

LABELS = {"dense": ["--dense"], "adaptive": ["--seeds", "adaptive"], "paper": ["--seeds", "paper"]}
"""What the training cases teach, as the options of the conversion; the order numbers the datasets."""

METHODS = {
    "seeds-paper": ("paper", "nnUNetTrainer"),
    "stage1-paper": ("paper", "PASegStage1Trainer_paper"),
    "seeds": ("adaptive", "nnUNetTrainer"),
    "stage1": ("adaptive", "PASegStage1Trainer"),
    "stage2": ("adaptive", "PASegStage2Trainer"),
    "dense": ("dense", "nnUNetTrainer"),
}
"""Labels and trainer of every method."""


SMALLEST_GAP = 0.10
"""In Dice, between seeds and dense masks: below it, the gap closed is mostly noise."""


@dataclass(frozen=True)
class Score:
    """One cell of the grid, a line of results/accuracy.csv."""

    dataset: str
    method: str
    point_seed: int
    iterations: int
    dice: float
    dice_std: float
    assd_mm: float
    hd95_mm: float
    undefined_distances: int


def prepare(workspace: Workspace, task: Task, data: Path, *, point_seed: int, labels: str) -> tuple[str, str]:
    """Convert, plan and preprocess; the names of the dataset and of its plans."""
    dense = labels == "dense"
    number = task.dataset_id + list(LABELS).index(labels) + (0 if dense else 2 * point_seed)
    name = f"{task.source.partition('_')[2]}{labels.capitalize()}{'' if dense else point_seed}"
    dataset = f"Dataset{number:03d}_{name}"
    if not (workspace.raw / dataset).exists():
        script = HERE.parent / "dataset_conversion" / "from_dense_dataset.py"
        options = ["--name", name, "--num-train", task.num_train, "--num-test", task.num_test]
        options += ["--point-seed", point_seed, "--num-processes", workspace.num_processes]
        options += (["--merge", task.merge] if task.merge else []) + LABELS[labels]
        workspace.run(sys.executable, script, data / task.source, number, *options)
    plans = workspace.plan(number, spacing_mm=task.spacing_mm)
    small = f"small{task.features}Plans"
    if not (workspace.preprocessed / dataset / f"{small}.json").exists():
        workspace.small_plans(dataset, small, features=task.features, source=plans)
        # nnU-Net validates on the fold's own cases at the end of a training: two are enough, the test cases score.
        cases = sorted(file.name.removesuffix(".nii.gz") for file in (workspace.raw / dataset / "labelsTr").iterdir())
        write_json([{"train": cases, "val": cases[:2]}], workspace.preprocessed / dataset / "splits_final.json")
    return dataset, small


def run_cell(
    workspace: Workspace, name: str, method: str, data: Path, *, point_seed: int, epochs: int, iterations: int
) -> Score:
    """Train, predict and score one cell, as far as that is not done yet."""
    task = TASKS[name]
    labels, trainer = METHODS[method]
    dataset, plans = prepare(workspace, task, data, point_seed=point_seed, labels=labels)
    suffix = f"_{epochs}epochs_{iterations}iterations"
    if method == "stage2":
        for stage in ("PASegStage1Trainer", "PASegStage1AuxTrainer"):
            workspace.train(dataset, stage + suffix, plans=plans, fold=0, epochs=epochs)
    trainer += suffix
    workspace.train(dataset, trainer, plans=plans, fold=0, epochs=epochs)
    output = workspace.folder / "predictions" / f"{name}_{method}_{point_seed}{suffix}"
    output.parent.mkdir(exist_ok=True)
    workspace.predict(dataset, trainer, output, plans=plans, fold=0, mirroring=False)
    rows = evaluate_folder(output, workspace.raw / dataset / "labelsTs")
    write_split(workspace.raw / dataset, name)
    mean = mean_scores(rows)[-1]
    spread = (sum((row.dice - mean.dice) ** 2 for row in rows) / len(rows)) ** 0.5
    return Score(
        dataset=name,
        method=method,
        point_seed=point_seed,
        iterations=epochs * iterations,
        dice=round(mean.dice, 4),
        dice_std=round(spread, 4),
        assd_mm=round(mean.assd_mm, 4),
        hd95_mm=round(mean.hd95_mm, 4),
        undefined_distances=mean.undefined_distances,
    )


def write_split(raw: Path, name: str) -> None:
    """Keep which cases trained and which were scored."""
    split = {
        part: sorted(file.name.removesuffix(".nii.gz") for file in (raw / f"labels{part}").glob("*.nii.gz"))
        for part in ("Tr", "Ts")
    }
    (RESULTS / "splits").mkdir(parents=True, exist_ok=True)
    write_json({"train": split["Tr"], "test": split["Ts"]}, RESULTS / "splits" / f"{name}.json")


def keep(score: Score, file: Path) -> list[Score]:
    """Add a cell to the CSV file, in place of an older one of the same name; all cells."""
    scores = [score, *(old for old in read(file) if _cell(old) != _cell(score))]
    methods = list(METHODS)
    scores.sort(key=lambda s: (s.dataset, s.iterations, s.point_seed, methods.index(s.method)))
    with moved_into_place(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as output:
        writer = csv.DictWriter(output, list(asdict(score)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(line) for line in scores)
    return scores


def _cell(score: Score) -> tuple[str, str, int, int]:
    return score.dataset, score.method, score.point_seed, score.iterations


def read(file: Path) -> list[Score]:
    """The cells of a CSV file that :func:`keep` wrote."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            Score(**{key: kind(row[key]) for key, kind in zip(row, _kinds(), strict=True)})
            for row in csv.DictReader(lines)
        ]


def _kinds() -> list[type]:
    return [str, str, int, int, float, float, float, float, int]


def table(scores: list[Score]) -> str:
    """Markdown table with the gap closed, (method - baseline) / (dense - baseline) in Dice, for both baselines."""
    head = "dataset, iterations, point seed | method | Dice (SD over cases) | ASSD mm | HD95 mm | empty | "
    head += "gap closed | from the paper's seeds"
    lines = [f"| {head} |", "|---|---|---|---|---|---|---|---|"]
    for score in scores:
        cell = f"{score.dataset}, {score.iterations}, {score.point_seed}"
        dice = f"{score.dice:.3f} ({score.dice_std:.3f})"
        distances = f"{score.assd_mm:.2f} | {score.hd95_mm:.2f} | {score.undefined_distances}"
        gaps = " | ".join(gap_closed(score, scores, baseline) for baseline in ("seeds", "seeds-paper"))
        lines.append(f"| {cell} | {score.method} | {dice} | {distances} | {gaps} |")
    return (
        "\n".join(lines)
        + f"\n\n\\* dense masks are less than {SMALLEST_GAP} Dice ahead of the baseline: says little.\n"
    )


def gap_closed(score: Score, scores: list[Score], baseline: str = "seeds") -> str:
    """Which part of the way from a baseline to dense masks a method goes; empty where either is not measured."""
    same = {
        other.method: other.dice
        for other in scores
        if (other.dataset, other.iterations) == (score.dataset, score.iterations)
        and (other.point_seed == score.point_seed or other.method == "dense")
    }
    if score.method in (baseline, "seeds-paper", "dense") or not {baseline, "dense"} <= same.keys():
        return ""
    gap = same["dense"] - same[baseline]
    return f"{(score.dice - same[baseline]) / gap:.2f}{'' if gap >= SMALLEST_GAP else '*'}"


def main() -> None:
    """Run what the command line asks for and rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the dense datasets")
    parser.add_argument("--workspace", type=Path, required=True, help="folder for everything nnU-Net writes")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="default: all")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="default: all")
    parser.add_argument("--point-seeds", nargs="+", type=int, default=[0], help="default: 0")
    parser.add_argument("--epochs", type=int, default=20, help="of every training (default: %(default)s)")
    parser.add_argument("--iterations", type=int, default=50, help="an epoch (default: %(default)s)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="default: %(default)s")
    parser.add_argument("--num-processes", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of accuracy.csv (default: %(default)s)")
    arguments = parser.parse_args()
    workspace = Workspace(arguments.workspace.resolve(), arguments.num_processes, arguments.device)
    workspace.folder.mkdir(parents=True, exist_ok=True)
    file = arguments.output / "accuracy.csv"
    version = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, encoding="utf-8"
    ).stdout
    write_json({"revision": version.strip(), "command": sys.argv}, workspace.folder / "benchmark.json")
    for name in arguments.tasks:
        for point_seed in arguments.point_seeds:
            for method in arguments.methods:
                print(f"\n== {name}, {method}, points {point_seed}", flush=True)
                score = run_cell(
                    workspace,
                    name,
                    method,
                    arguments.data.resolve(),
                    point_seed=point_seed,
                    epochs=arguments.epochs,
                    iterations=arguments.iterations,
                )
                scores = keep(score, file)
                print(json.dumps(asdict(score)))
                with moved_into_place(arguments.output / "accuracy.md") as temporary:
                    temporary.write_text(table(scores), encoding="utf-8")
    print((arguments.output / "accuracy.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
