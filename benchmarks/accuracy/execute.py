"""Execution of a run: train, predict, score and write a record; a run with a record is not repeated."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.accuracy.budget import check, fold
from benchmarks.accuracy.datasets import cases_in, check_weights, prepare, seeds_in
from benchmarks.accuracy.grid import METHODS
from benchmarks.accuracy.runs import PRESETS, Run
from benchmarks.accuracy.scores import Score, score_of
from benchmarks.accuracy.source import revision
from benchmarks.accuracy.tasks import TASKS
from benchmarks.accuracy.workspace import BenchmarkWorkspace
from nnunet_paseg import __version__
from nnunet_paseg.evaluation.evaluate import evaluate_folder
from nnunet_paseg.evaluation.table import write_csv
from nnunet_paseg.io.files import atomic_output, write_json

STAGE1 = ("PASegStage1Trainer", "PASegStage1AuxTrainer")
SESSION = r"Session: revision (?P<revision>\S*), (?P<precision>\w+)"
"""Line of the benchmark's trainers in nnU-Net's log, once per start."""


def execute(workspace: BenchmarkWorkspace, run: Run, data: Path, output: Path) -> Score:
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
    check_weights(content.get("seeds"), record)
    score = Score(**content["score"])
    _copy(record, output / "cells" / f"{score.name}.json")
    _copy(cases, output / "cases" / f"{score.name}.csv")
    (output / "splits").mkdir(parents=True, exist_ok=True)
    write_json(content["split"], output / "splits" / f"{run.task}.json")
    return score


def _run(workspace: BenchmarkWorkspace, run: Run, data: Path, cases: Path) -> dict[str, Any]:
    """Train, predict and score, and return the record."""
    method, preset = METHODS[run.method], PRESETS[run.preset]
    dataset, plans = prepare(workspace, run, data)
    number = fold(method, run.point_seed)
    trained = [*_stage1(workspace, run, dataset, plans, number), method.trainer + run.suffix]
    seconds, sessions = {}, []
    for name in trained:
        logs = workspace.train(dataset, name, plans=plans, fold=number, epochs=run.epochs) / f"fold_{number}"
        seconds[name], own = training_log(logs)
        sessions += own
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
        "revision": _distinct([session["revision"] for session in sessions] + [revision()]),
        "precision": _distinct([session["precision"] for session in sessions]),
        "dataset": dataset,
        "plans": plans,
        "seeds": seeds_in(raw),
        "trained_on": splits[number]["train"],
        "seconds": seconds,
        "sessions": len(sessions),
        "split": {"train": cases_in(raw, "Tr"), "test": cases_in(raw, "Ts")},
        "score": asdict(score_of(run, rows)),
    }


def _stage1(workspace: BenchmarkWorkspace, run: Run, dataset: str, plans: str, number: int) -> list[str]:
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


def training_log(folder: Path) -> tuple[float, list[dict[str, str]]]:
    """Return the sum of the epochs' times, and the revision and precision of every session, from a fold's logs."""
    texts = [log.read_text(encoding="utf-8", errors="replace") for log in sorted(folder.glob("training_log_*.txt"))]
    times = [float(time) for text in texts for time in re.findall(r"Epoch time: ([\d.]+) s", text)]
    sessions = [match.groupdict() for text in texts for match in re.finditer(SESSION, text)]
    return round(sum(times), 1), sessions


def _distinct(values: Sequence[str]) -> str:
    """Return the distinct values in order of appearance: more than one if the source or the machine has changed."""
    return ", ".join(dict.fromkeys(values))


def command(run: Run) -> str:
    """Return the command that executes a run."""
    words = ["python -m benchmarks.accuracy DATA --workspace FOLDER", f"--tasks {run.task} --methods {run.method}"]
    words += [f"--point-seeds {run.point_seed} --weight-seeds {run.weight_seed}", f"--preset {run.preset}"]
    return " ".join([*words, f"--epochs {run.epochs} --iterations {run.iterations}"])


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(target) as temporary:
        shutil.copyfile(source, temporary)
