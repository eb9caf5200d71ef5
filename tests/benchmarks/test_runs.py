"""The accuracy benchmark's grid, what its labels teach, and which trainings it runs; nothing is trained here."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import source
from benchmarks.accuracy.budget import check, fold, folds
from benchmarks.accuracy.datasets import convert, dataset_of
from benchmarks.accuracy.execute import execute
from benchmarks.accuracy.grid import BEFORE_LEARNED, LABELS, METHODS, POINT_SEEDS
from benchmarks.accuracy.runs import Run, Seeds, repeats, runs
from benchmarks.accuracy.source import ROOT, unpack
from benchmarks.accuracy.tasks import TASKS, Task
from benchmarks.accuracy.workspace import BenchmarkWorkspace
from benchmarks.geodistk import raster_scans
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_array
from nnunet_paseg.seeds.learned.weights import shipped_sha256
from nnunet_paseg.trainers.checkpoints.from_stage1 import stage1_checkpoint
from tests.conftest import load_script

METHOD_OF_LABELS = {name: next(key for key, method in METHODS.items() if method.labels == name) for name in LABELS}


class FakeWorkspace(BenchmarkWorkspace):
    """Converts in this process; a training is a log and a checkpoint without weights, a prediction is the truth."""

    def run(self, *command, **kwargs):
        script, words = load_script("from_dense_dataset"), [str(word) for word in command[2:]]
        script.main(script.build_parser().parse_args([*words, "--raw", str(self.raw)]))

    def plan(self, dataset_id, configuration="3d_fullres", *, spacing_mm=None):
        [raw] = self.raw.glob(f"Dataset{dataset_id:03d}_*")
        (self.preprocessed / raw.name).mkdir(parents=True, exist_ok=True)
        self.note(f"plan {dataset_id} {spacing_mm}")
        return "nnUNetPlans_" + "x".join(f"{size:g}" for size in spacing_mm)

    def small_plans(self, dataset, name, **kwargs):
        (self.preprocessed / dataset / f"{name}.json").touch()
        return name

    def train(self, dataset, trainer, *, plans="", configuration="3d_fullres", fold="all", epochs=None):
        model = self.results / dataset / f"{trainer}__{plans}__{configuration}"
        (model / f"fold_{fold}").mkdir(parents=True)
        for part, revision in enumerate(("abc1234", "def5678", "def5678")):
            text = f"12:00: Session: revision {revision}, float32\nEpoch time: 2.5 s \n"
            (model / f"fold_{fold}" / f"training_log_{part}.txt").write_text(text, encoding="utf-8")
        (model / f"fold_{fold}" / "checkpoint_final.pth").touch()
        self.note(f"train {trainer} {plans} fold {fold}")
        return model

    def predict(self, dataset, trainer, output, **kwargs):
        if (self.folder / "broken").exists():
            raise PasegError("nnUNetv2_predict ended with status 1")
        output.symlink_to(self.raw / dataset / "labelsTs", target_is_directory=True)
        self.note(f"predict {trainer} fold {kwargs['fold']}")

    def note(self, what):
        with (self.folder / "notes.txt").open("a", encoding="utf-8") as file:
            file.write(f"{what}\n")

    def notes(self):
        return (self.folder / "notes.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def tiny(dense_dataset, tmp_path, monkeypatch):
    """A workspace, and the folder of the dense dataset, of which the task "tiny" is made."""
    monkeypatch.setitem(TASKS, "tiny", Task("tiny", "Dataset001_Tiny", 10, 4, 2, spacing_mm=(2.0, 1.0, 1.0)))
    (tmp_path / "space").mkdir()
    return FakeWorkspace(tmp_path / "space", num_processes=1), dense_dataset.parent


def training_labels(workspace, data, labels):
    dataset = convert(workspace, Run("tiny", METHOD_OF_LABELS[labels], 1, 20, 50), data)
    files = sorted((workspace.raw / dataset / "labelsTr").iterdir())
    return {file.name: read_array(file) for file in files}, dataset


PRESENT = [name for name, labels in LABELS.items() if labels.revision is None and not labels.geodistk]
"""Labels that this process can convert."""


def test_what_the_labels_teach(tiny):
    found = {labels: training_labels(*tiny, labels) for labels in PRESENT}
    names = {labels: name for labels, (_, name) in found.items()}
    assert {labels: names[labels] for labels in ("dense", "paper", "points", "box")} == {
        "dense": "Dataset010_TinyDense",
        "paper": "Dataset014_TinyPaper1",
        "points": "Dataset111_TinyPoints1",
        "box": "Dataset211_TinyBox1",
    }
    maps = {labels: cases for labels, (cases, _) in found.items()}
    assert len({tuple(cases) for cases in maps.values()}) == 1
    for case, truth in maps["dense"].items():
        assert np.unique(truth).tolist() == [0, 1, 2]
        points, box = maps["points"][case], maps["box"][case]
        assert [(points == label).sum() for label in (1, 2)] == [1, 1]
        assert np.array_equal(truth[(points == 1) | (points == 2)], points[(points == 1) | (points == 2)])
        # The same boxes, open in one and all foreground but their farthest voxels in the other.
        assert np.array_equal(points == 0, box == 0)
        assert (box == 3).sum() <= 2 < 200 < np.isin(box, (1, 2)).sum()
        assert 2 < np.isin(maps["paper"][case], (1, 2)).sum() < (truth > 0).sum()


def test_one_case_of_mixed_labels_is_dense(tiny):
    keys = ("learnedmixed", "learned", "dense")
    (found, _), (alone, _), (dense, _) = (training_labels(*tiny, key) for key in keys)
    same = {case: np.array_equal(found[case], dense[case]) for case in dense}
    assert all(same[case] or np.array_equal(found[case], alone[case]) for case in dense)
    [case] = [case.removesuffix(".nii.gz") for case in dense if same[case]]
    # It is the one that all mixed folds of this point seed train on.
    cases = [name.removesuffix(".nii.gz") for name in dense]
    assert case in folds(cases, "learnedmixed")[fold(METHODS["learned-mixed"], 1)]["train"]


def test_weights_that_the_package_no_longer_has_are_refused(tiny, tmp_path, monkeypatch):
    (workspace, data), run = tiny, Run("tiny", "learned", 0, 20, 50)
    execute(workspace, run, data, tmp_path)
    record = json.loads((tmp_path / "cells" / "tiny_learned_0_1000.json").read_text(encoding="utf-8"))
    assert record["seeds"]["expander_sha256"] == shipped_sha256()
    monkeypatch.setattr("benchmarks.accuracy.datasets.shipped_sha256", lambda: "f" * 64)
    with pytest.raises(PasegError, match=r"cells.*\.json: its seeds .*: choose a new --workspace"):
        execute(workspace, run, data, tmp_path)
    with pytest.raises(PasegError, match=r"Dataset510_TinyLearned0: its seeds .*: choose a new --workspace"):
        convert(workspace, run, data)
    convert(workspace, Run("tiny", "dense", 0, 20, 50), data)


def test_labels_of_an_earlier_rule_come_from_an_earlier_revision(tiny, tmp_path):
    known = subprocess.run(["git", "cat-file", "-e", f"{BEFORE_LEARNED}^{{commit}}"], cwd=ROOT, capture_output=True)
    if known.returncode:
        pytest.skip("the history of the repository is not here")
    workspace = BenchmarkWorkspace(tmp_path / "earlier", num_processes=1)
    labels, name = training_labels(workspace, tiny[1], "adaptive")
    assert name == "Dataset013_TinyAdaptive1"
    assert all({1, 2, 3} <= set(np.unique(mask)) for mask in labels.values())
    record = json.loads((workspace.raw / name / "paseg.json").read_text(encoding="utf-8"))
    assert record["seeds"]["rule"] == "adaptive"
    assert unpack(BEFORE_LEARNED, workspace.folder / "sources") == workspace.folder / "sources" / BEFORE_LEARNED
    with pytest.raises(PasegError, match="no revision nothing, which converts the labels of an earlier rule"):
        unpack("nothing", tmp_path)


FAKE = """
import numpy as np
from scipy.ndimage import distance_transform_edt
def geodesic3d_raster_scan(image, seeds, spacing, weight, iterations):
    assert iterations == 4
    return distance_transform_edt(seeds == 0, sampling=spacing).astype(np.float32)
"""


@pytest.mark.skipif(os.name == "nt", reason="the interpreter of the test is a shell script")
def test_the_published_seeds_come_from_another_interpreter(tiny, tmp_path):
    _, data = tiny
    with pytest.raises(PasegError, match="The published seeds need GeodisTK: pass --geodistk-python"):
        training_labels(BenchmarkWorkspace(tmp_path / "none", num_processes=1), data, "published")
    (tmp_path / "GeodisTK.py").write_text(FAKE, encoding="utf-8")
    # The first argument, -E, would hide the fake GeodisTK.
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    workspace = BenchmarkWorkspace(tmp_path / "published", num_processes=1, geodistk_python=str(python))
    labels, name = training_labels(workspace, data, "published")
    assert name == "Dataset611_TinyPublished1"
    exact, _ = training_labels(tiny[0], data, "paper")
    # The scans of the fake see no image: the seeds are balls in the same boxes.
    assert all(np.array_equal(labels[case] == 0, exact[case] == 0) for case in exact)
    assert any((labels[case] != exact[case]).any() for case in exact)
    assert (
        json.loads((workspace.raw / name / "paseg.json").read_text(encoding="utf-8"))["seeds"]["backend"] == "geodistk"
    )


def test_an_interpreter_without_geodistk_is_named(tmp_path):
    volume = {"image": np.zeros((2, 2, 2), np.float32), "seeds": np.ones((2, 2, 2), bool)}
    scans = partial(raster_scans, **volume, spacing_mm=(1, 1, 1), weight=0.5, iterations=[4])
    with pytest.raises(PasegError, match=r"cannot be run .*: pass --geodistk-python"):
        scans(str(tmp_path / "nowhere"))
    with pytest.raises(PasegError, match=r"No module named 'GeodisTK'.*: pass --geodistk-python"):
        scans(sys.executable)


def test_the_revision_of_the_source(monkeypatch):
    answers = {"rev-parse": "abc1234", "status": ""}
    monkeypatch.setattr(source, "_git", lambda command, *_: answers[command])
    assert source.revision() == "abc1234"
    source.check_clean()
    answers["status"] = " M nnunet_paseg/cli.py"
    assert source.revision() == "abc1234-dirty"
    with pytest.raises(PasegError, match="local changes"):
        source.check_clean()
    answers["rev-parse"] = ""
    with pytest.raises(PasegError, match="not a git repository"):
        source.check_clean()


def test_a_finished_cell_is_not_run_again(tiny, tmp_path):
    (workspace, data), output, cell = tiny, tmp_path / "out", Run("tiny", "paper-exact", 0, 20, 50)
    (workspace.folder / "broken").touch()
    with pytest.raises(PasegError, match="status 1"):
        execute(workspace, cell, data, output)
    assert not output.exists()
    (workspace.folder / "broken").unlink()
    (workspace.results).rename(tmp_path / "lost")  # the fake does not look whether a training is finished
    score = execute(workspace, cell, data, output)
    assert (score.dice, score.iterations, score.method) == (1.0, 1000, "paper-exact")
    training = "train nnUNetTrainer_20epochs_50iterations small8Plans_2x1x1 fold 0"
    plan, predict = "plan 12 (2.0, 1.0, 1.0)", "predict nnUNetTrainer_20epochs_50iterations fold 0"
    assert workspace.notes() == [plan, training, plan, training, predict]
    assert execute(workspace, cell, data, tmp_path / "other") == score
    assert len(workspace.notes()) == 5
    record = json.loads((tmp_path / "other" / "cells" / "tiny_paper-exact_0_1000.json").read_text(encoding="utf-8"))
    assert record["seconds"] == {"nnUNetTrainer_20epochs_50iterations": 7.5}
    assert record["seeds"]["rule"] == "paper"
    assert (record["sessions"], record["precision"]) == (3, "float32")
    assert record["revision"] == f"abc1234, def5678, {source.revision()}"
    assert record["score"]["dice"] == 1.0
    assert len(record["trained_on"]) == 4
    assert str(tmp_path) not in json.dumps(record)
    assert (tmp_path / "other" / "cases" / "tiny_paper-exact_0_1000.csv").exists()
    assert json.loads((output / "splits" / "tiny.json").read_text(encoding="utf-8")) == record["split"]


@pytest.mark.parametrize(
    ("method", "variant", "of_stage1"),
    [
        ("learned-stage2", "", ""),
        ("adaptive-stage2-self", "_self", ""),
        ("adaptive-stage2-plain", "_fromplain", "_plain"),
    ],
)
def test_what_a_stage2_starts_from(method, variant, of_stage1, tiny, tmp_path, monkeypatch):
    workspace, data = tiny
    monkeypatch.setitem(METHODS, method, replace(METHODS[method], labels="paper"))
    execute(workspace, Run("tiny", method, 0, 20, 50), data, tmp_path)
    trained = [note.split()[1] for note in workspace.notes() if note.startswith("train")]
    ending = "_20epochs_50iterations"
    assert trained == [f"PASegStage1{kind}Trainer{of_stage1}{ending}" for kind in ("", "Aux")] + [
        f"PASegStage2Trainer{variant}{ending}"
    ]
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    plans = type("Plans", (), {"plans_name": "small8Plans_2x1x1", "dataset_name": "Dataset012_TinyPaper0"})
    stage2 = type(trained[2], (), {"plans_manager": plans, "fold": 0, "configuration_name": "3d_fullres"})()
    for stage1 in ("PASegStage1Trainer", "PASegStage1AuxTrainer"):
        found = os.path.realpath(stage1_checkpoint(stage2, stage1))
        assert f"{stage1}{of_stage1}{ending}__" in found


def test_folds():
    names = [f"case_{number:02d}" for number in range(60)]
    splits = folds(names[::-1], "dense")
    assert splits[0] == {"train": names, "val": names[:2]}
    assert [len(split["train"]) for split in splits] == [60, *(5, 3, 1) * len(POINT_SEEDS)]
    few, half = (splits[fold(METHODS[method], 2)]["train"] for method in ("dense-few", "dense-few-half"))
    assert set(half) < set(few) != set(splits[fold(METHODS["dense-few"], 1)]["train"])
    with pytest.raises(PasegError, match="nothing can be mixed"):
        check(METHODS["learned-mixed"], TASKS["abdomen"])


def test_cells_of_the_grid():
    found = list(runs(["hippocampus2", "atrium-4mm"], ["learned", "dense"], [Seeds(0, 0), Seeds(1, 0)], preset="cpu"))
    assert [cell.name for cell in found] == [
        f"{task}_{cell}{mirroring}_20epochs_250iterations"
        for task, mirroring in (("hippocampus2", "_nomirroring"), ("atrium-4mm", ""))
        for cell in ("learned_0", "dense_0", "learned_1")
    ]
    again = [cell.name for cell in runs(["glioma"], ["learned", "dense"], repeats(2))]
    assert again == [
        "glioma_learned_0_12epochs_250iterations_seed1",
        "glioma_dense_0_12epochs_250iterations_seed1",
        "glioma_learned_1_12epochs_250iterations_seed2",
        "glioma_dense_0_12epochs_250iterations_seed2",
    ]
    [gpu] = runs(["atrium-4mm"], ["learned-stage1"], [Seeds(3, 2)], preset="gpu")
    assert gpu.name == "atrium-4mm_learned-stage1_3_1000epochs_250iterations_seed2_gpu"
    numbers = {
        dataset_of(Run(task, method, seed, 1, 1)): METHODS[method].labels
        for task in TASKS
        for method in METHODS
        for seed in POINT_SEEDS
    }
    assert len({number for number, _ in numbers}) == len(numbers)
    assert max(numbers)[0] < 1000


def test_commands_import_the_package_whose_revision_the_records_name(tmp_path, monkeypatch):
    """Another clone may be installed, whose package the conversion scripts and nnU-Net would import."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    workspace = BenchmarkWorkspace(tmp_path / "new", num_processes=1)
    workspace.run(sys.executable, "-c", "import nnunet_paseg; print(nnunet_paseg.__file__)")
    (log,) = (workspace.folder / "logs").iterdir()
    assert Path(log.read_text(encoding="utf-8").strip()).parents[1] == ROOT
    assert workspace.environment()["PYTHONPATH"].split(os.pathsep) == [str(ROOT), str(tmp_path)]
