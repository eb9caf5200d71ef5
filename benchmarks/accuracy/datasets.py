"""The dataset of a run: converted, planned and preprocessed, unless that is already done."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.accuracy.budget import drawn, folds
from benchmarks.accuracy.grid import LABELS, METHODS, MIXED, Labels
from benchmarks.accuracy.runs import PRESETS, Run
from benchmarks.accuracy.source import ROOT, unpack
from benchmarks.accuracy.tasks import TASKS, Task
from benchmarks.accuracy.workspace import BenchmarkWorkspace
from benchmarks.geodistk import INSTALL
from nnunet_paseg.conversion.dense import choose
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output, write_json
from nnunet_paseg.seeds.learned.weights import shipped_sha256

GEODISTK = Path(__file__).resolve().parent / "geodistk"
"""Folder of the module that stands in for GeodisTK."""


def dataset_of(run: Run) -> tuple[int, str]:
    """Return the number and the name of the run's dataset."""
    task, key = TASKS[run.task], METHODS[run.method].labels
    labels = LABELS[key]
    number = task.dataset_id + labels.offset + labels.per_point_seed * run.point_seed
    name = f"{task.source.partition('_')[2]}{key.capitalize()}"
    return number, name if key == "dense" else f"{name}{run.point_seed}"


def convert(workspace: BenchmarkWorkspace, run: Run, data: Path) -> str:
    """Convert the run's dataset and return the name of its folder.

    Args:
        workspace: BenchmarkWorkspace to convert into.
        run: Run, which defines the dataset, the labels and the point seed.
        data: Folder of the dense datasets.

    Raises:
        PasegError: The dense dataset is missing, or the conversion failed.
    """
    task, labels = TASKS[run.task], METHODS[run.method].labels
    number, name = dataset_of(run)
    dataset = f"Dataset{number:03d}_{name}"
    if not (workspace.raw / dataset).exists():
        source = data / task.source
        if not (source / "labelsTr").is_dir():
            raise PasegError(f"{source}: no dense nnU-Net dataset, which {run.task} needs: put it there.")
        options: list[object] = ["--name", name, "--point-seed", run.point_seed]
        options += ["--num-processes", workspace.num_processes, *(["--merge", task.merge] if task.merge else [])]
        if labels in MIXED:
            split = workspace.folder / "splits" / f"{dataset}.csv"
            write_mixed_split(source, task, run.point_seed, split)
            options += ["--split-csv", split, "--unlisted", "skip"]
        else:
            options += ["--num-train", task.num_train, "--num-test", task.num_test]
        script, environment = converter(workspace, LABELS[labels])
        command = [sys.executable, script, source, number, *options, *LABELS[labels].options]
        workspace.run(*command, environment=environment)
    check_weights(seeds_in(workspace.raw / dataset), workspace.raw / dataset)
    return dataset


def seeds_in(dataset: Path) -> dict[str, Any] | None:
    """Return the rule and the parameters of a dataset's seeds; None for dense masks."""
    record = json.loads((dataset / "paseg.json").read_text(encoding="utf-8"))
    annotations = {case.get("annotation", "dense") for case in record["cases"].values()}  # test cases have none
    return None if annotations == {"dense"} else record["seeds"]


def check_weights(seeds: dict[str, Any] | None, made: Path) -> None:
    """Raise PasegError if seeds come from other weights of the expansion network than those of the package.

    Args:
        seeds: Rule and parameters, as in paseg.json.
        made: Dataset or record of the seeds, for the message.

    Raises:
        PasegError: The weights differ.
    """
    weights = (seeds or {}).get("expander_sha256")
    if weights not in (None, shipped_sha256()):
        raise PasegError(
            f"{made}: its seeds come from an expansion network (SHA-256 {weights[:12]}) that this package no longer "
            f"contains ({shipped_sha256()[:12]}): choose a new --workspace."
        )


def converter(workspace: BenchmarkWorkspace, labels: Labels) -> tuple[Path, dict[str, str]]:
    """Return the conversion script of the labels, and its environment variables.

    Raises:
        PasegError: The labels need GeodisTK and the workspace has no interpreter for it, or an earlier revision is
            missing.
    """
    source, environment = ROOT, {}
    if labels.revision is not None:
        source = unpack(labels.revision, workspace.folder / "sources")
        environment["PYTHONPATH"] = str(source)
    if labels.geodistk:
        if workspace.geodistk_python is None:
            raise PasegError(f"The published seeds need GeodisTK: {INSTALL}")
        environment |= {
            "PYTHONPATH": os.pathsep.join(map(str, (GEODISTK, ROOT))),
            "GEODISTK_PYTHON": workspace.geodistk_python,
        }
    return source / "dataset_conversion" / "from_dense_dataset.py", environment


def write_mixed_split(source: Path, task: Task, point_seed: int, file: Path) -> None:
    """Write the split of the other conversions, with the densely annotated case as the validation case."""
    ending = json.loads((source / "dataset.json").read_text(encoding="utf-8"))["file_ending"]
    identifiers = sorted(mask.name.removesuffix(ending) for mask in (source / "labelsTr").glob(f"*{ending}"))
    training, testing = choose(identifiers, task.num_train, task.num_test, 0)
    dense, *others = drawn(sorted(training), point_seed)
    parts = {dense: "validation", **dict.fromkeys(others, "training"), **dict.fromkeys(testing, "test")}
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(file) as temporary:
        temporary.write_text("".join(f"{case},{part}\n" for case, part in parts.items()), encoding="utf-8")


def prepare(workspace: BenchmarkWorkspace, run: Run, data: Path) -> tuple[str, str]:
    """Convert, plan and preprocess a run's dataset; return the names of the dataset and of its plans."""
    task, preset = TASKS[run.task], PRESETS[run.preset]
    dataset = convert(workspace, run, data)
    plans = workspace.plan(dataset_of(run)[0], spacing_mm=None if preset.own_spacing else task.spacing_mm)
    folder = workspace.preprocessed / dataset
    if preset.features is not None:
        # Their name contains the spacing, because tasks can share a dataset and differ in spacing.
        small = f"small{preset.features}{plans.removeprefix('nnUNet')}"
        if not (folder / f"{small}.json").exists():
            workspace.small_plans(dataset, small, features=preset.features, source=plans)
        plans = small
    splits, file = folds(cases_in(workspace.raw / dataset, "Tr"), METHODS[run.method].labels), "splits_final.json"
    if not (folder / file).exists() or json.loads((folder / file).read_text(encoding="utf-8")) != splits:
        write_json(splits, folder / file)
    return dataset, plans


def cases_in(raw: Path, part: str) -> list[str]:
    """Return the cases of ``labelsTr`` or ``labelsTs``."""
    return sorted(file.name.removesuffix(".nii.gz") for file in (raw / f"labels{part}").glob("*.nii.gz"))
