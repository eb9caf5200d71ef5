"""Execution of a run: train, predict, score and write a record; a run with a record is not repeated."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.accuracy.budget import check, fold
from benchmarks.accuracy.datasets import cases_in, prepare
from benchmarks.accuracy.grid import METHODS, TASKS
from benchmarks.accuracy.runs import PRESETS, Run
from benchmarks.accuracy.scores import Score, score_of
from nnunet_paseg import __version__
from nnunet_paseg.evaluation.evaluate import evaluate_folder
from nnunet_paseg.evaluation.table import write_csv
from nnunet_paseg.io.files import atomic_output, write_json
from nnunet_paseg.nnunet.workspace import Workspace

HERE = Path(__file__).resolve().parent
STAGE1 = ("PASegStage1Trainer", "PASegStage1AuxTrainer")


class BenchmarkWorkspace(Workspace):
    """A workspace in which nnU-Net finds the benchmark's trainers too."""

    def environment(self) -> dict[str, str]:
        """Return nnU-Net's environment variables, with the folder of the benchmark's trainers."""
        return {**super().environment(), "nnUNet_extTrainer": str(HERE / "ext")}


def execute(workspace: Workspace, run: Run, data: Path, output: Path) -> Score:
    """Complete a run and copy its record and the scores of its cases into ``output``.

    Raises:
        PasegError: The method does not fit the dataset, or a command failed.
    """
    check(METHODS[run.method], TASKS[run.task])
    kept = workspace.folder / "cells"
    record, cases = kept / f"{run.name}.json", kept / f"{run.name}.csv"
    if not record.exists():
        kept.mkdir(parents=True, exist_ok=True)
        write_json(_run(workspace, run, data, cases), record)
    content = json.loads(record.read_text(encoding="utf-8"))
    score = Score(**content["score"])
    _copy(record, output / "cells" / f"{score.name}.json")
    _copy(cases, output / "cases" / f"{score.name}.csv")
    (output / "splits").mkdir(parents=True, exist_ok=True)
    write_json(content["split"], output / "splits" / f"{run.task}.json")
    return score


def _run(workspace: Workspace, run: Run, data: Path, cases: Path) -> dict[str, Any]:
    """Train, predict and score, and return the record."""
    method, preset = METHODS[run.method], PRESETS[run.preset]
    dataset, plans = prepare(workspace, run, data)
    number = fold(method, run.point_seed)
    trained = [*_stage1(workspace, run, dataset, plans, number), method.trainer + run.suffix]
    seconds = {}
    for name in trained:
        model = workspace.train(dataset, name, plans=plans, fold=number, epochs=run.epochs)
        seconds[name] = training_seconds(model / f"fold_{number}")
    predictions = workspace.folder / "predictions" / run.name
    predictions.parent.mkdir(parents=True, exist_ok=True)
    workspace.predict(dataset, trained[-1], predictions, plans=plans, fold=number, mirroring=preset.mirroring)
    raw = workspace.raw / dataset
    rows = evaluate_folder(predictions, raw / "labelsTs", num_processes=workspace.num_processes)
    write_csv(rows, cases, preset="default")
    splits = json.loads((workspace.preprocessed / dataset / "splits_final.json").read_text(encoding="utf-8"))
    return {
        "command": command(run),
        "nnunet_paseg": __version__,
        "nnunetv2": version("nnunetv2"),
        "revision": revision(),
        "dataset": dataset,
        "plans": plans,
        "trained_on": splits[number]["train"],
        "seconds": seconds,
        "split": {"train": cases_in(raw, "Tr"), "test": cases_in(raw, "Ts")},
        "score": asdict(score_of(run, rows)),
    }


def _stage1(workspace: Workspace, run: Run, dataset: str, plans: str, number: int) -> list[str]:
    """Return the names of the trainers that a stage 2 starts from, linked where it expects them; else none."""
    _, stage2, variant = METHODS[run.method].trainer.partition("PASegStage2Trainer")
    if not stage2:
        return []
    # An ablation of stage 2 starts from the same stage 1 as the whole method, linked under the name that it expects.
    names = [trainer + METHODS[run.method].starts_from + run.suffix for trainer in STAGE1]
    for trainer, name in zip(STAGE1, names, strict=True):
        wanted = trainer + variant + run.suffix
        link = workspace.results / dataset / f"{wanted}__{plans}__3d_fullres"
        if wanted != name and not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(f"{name}__{plans}__3d_fullres", target_is_directory=True)
    return names


def training_seconds(folder: Path) -> float:
    """Return the sum of the epochs' times in all logs of a fold."""
    texts = [log.read_text(encoding="utf-8", errors="replace") for log in sorted(folder.glob("training_log_*.txt"))]
    times = [float(time) for text in texts for time in re.findall(r"Epoch time: ([\d.]+) s", text)]
    return round(sum(times), 1)


def command(run: Run) -> str:
    """Return the command that executes a run."""
    words = ["python -m benchmarks.accuracy DATA --workspace FOLDER", f"--tasks {run.task} --methods {run.method}"]
    words += [f"--point-seeds {run.point_seed} --weight-seeds {run.weight_seed}", f"--preset {run.preset}"]
    return " ".join([*words, f"--epochs {run.epochs} --iterations {run.iterations}"])


def revision() -> str:
    """Return the revision of the source, with "-dirty" for local changes; empty without git."""
    if shutil.which("git") is None:
        return ""
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(words, cwd=HERE, capture_output=True, text=True, encoding="utf-8").stdout.strip()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(target) as temporary:
        shutil.copyfile(source, temporary)
