"""The accuracy benchmark's grid, what its labels teach, and which trainings it runs; nothing is trained here."""

import json
import os

import numpy as np
import pytest

from benchmarks.accuracy.budget import check, fold, folds
from benchmarks.accuracy.datasets import convert, dataset_of
from benchmarks.accuracy.execute import BenchmarkWorkspace, execute
from benchmarks.accuracy.grid import LABELS, METHODS, POINT_SEEDS, TASKS, Task
from benchmarks.accuracy.runs import Run, runs
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_array
from nnunet_paseg.trainers.checkpoints.from_stage1 import stage1_checkpoint
from tests.conftest import load_script

SEEDS_OF_LABELS = {name: next(key for key, method in METHODS.items() if method.labels == name) for name in LABELS}


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
        for part in (1, 2):
            (model / f"fold_{fold}" / f"training_log_{part}.txt").write_text("Epoch time: 2.5 s \n", encoding="utf-8")
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
    dataset = convert(workspace, Run("tiny", SEEDS_OF_LABELS[labels], 1, 20, 50), data)
    files = sorted((workspace.raw / dataset / "labelsTr").iterdir())
    return {file.name: read_array(file) for file in files}, dataset


def test_what_the_labels_teach(tiny):
    found = {labels: training_labels(*tiny, labels) for labels in LABELS}
    assert [name for _, name in found.values()] == [
        *("Dataset010_TinyDense", "Dataset013_TinyAdaptive1", "Dataset014_TinyPaper1"),
        *("Dataset111_TinyPoints1", "Dataset211_TinyBox1", "Dataset411_TinyNarrow1", "Dataset311_TinyMixed1"),
    ]
    maps = {labels: cases for labels, (cases, _) in found.items()}
    assert len({tuple(cases) for cases in maps.values()}) == 1
    dense = []
    for case, truth in maps["dense"].items():
        assert np.unique(truth).tolist() == [0, 1, 2]
        points, box = maps["points"][case], maps["box"][case]
        assert [(points == label).sum() for label in (1, 2)] == [1, 1]
        assert np.array_equal(truth[(points == 1) | (points == 2)], points[(points == 1) | (points == 2)])
        # The same boxes, open in one and all foreground but their farthest voxels in the other.
        assert np.array_equal(points == 0, box == 0)
        assert (box == 3).sum() <= 2 < 200 < np.isin(box, (1, 2)).sum()
        mixed = maps["mixed"][case]
        dense.append(np.array_equal(mixed, truth))
        assert dense[-1] or np.array_equal(mixed, maps["adaptive"][case])
        adaptive, narrow = maps["adaptive"][case], maps["narrow"][case]
        assert np.array_equal(np.where(adaptive == 3, narrow, adaptive), narrow)
        assert (adaptive == 3).sum() > (narrow == 3).sum()
        assert 2 < np.isin(maps["paper"][case], (1, 2)).sum() < (truth > 0).sum()
    assert sum(dense) == 1
    # It is the one that all mixed folds of this point seed train on.
    number = fold(METHODS["mixed"], 1)
    [case] = [case for case, is_dense in zip(maps["dense"], dense, strict=True) if is_dense]
    assert (
        case.removesuffix(".nii.gz")
        in folds([name.removesuffix(".nii.gz") for name in maps["dense"]], "mixed")[number]["train"]
    )


def test_a_finished_cell_is_not_run_again(tiny, tmp_path):
    (workspace, data), output, cell = tiny, tmp_path / "out", Run("tiny", "seeds", 0, 20, 50)
    (workspace.folder / "broken").touch()
    with pytest.raises(PasegError, match="status 1"):
        execute(workspace, cell, data, output)
    assert not output.exists()
    (workspace.folder / "broken").unlink()
    (workspace.results).rename(tmp_path / "lost")  # the fake does not look whether a training is finished
    score = execute(workspace, cell, data, output)
    assert (score.dice, score.iterations, score.method) == (1.0, 1000, "seeds")
    training = "train nnUNetTrainer_20epochs_50iterations small8Plans_2x1x1 fold 0"
    plan, predict = "plan 11 (2.0, 1.0, 1.0)", "predict nnUNetTrainer_20epochs_50iterations fold 0"
    assert workspace.notes() == [plan, training, plan, training, predict]
    assert execute(workspace, cell, data, tmp_path / "other") == score
    assert len(workspace.notes()) == 5
    record = json.loads((tmp_path / "other" / "cells" / "tiny_seeds_0_1000.json").read_text(encoding="utf-8"))
    assert record["seconds"] == {"nnUNetTrainer_20epochs_50iterations": 5.0}
    assert record["score"]["dice"] == 1.0
    assert len(record["trained_on"]) == 4
    assert str(tmp_path) not in json.dumps(record)
    assert (tmp_path / "other" / "cases" / "tiny_seeds_0_1000.csv").exists()
    assert json.loads((output / "splits" / "tiny.json").read_text(encoding="utf-8")) == record["split"]


@pytest.mark.parametrize(
    ("method", "variant", "of_stage1"),
    [("stage2", "", ""), ("stage2-self", "_self", ""), ("stage2-plain", "_fromplain", "_plain")],
)
def test_what_a_stage2_starts_from(method, variant, of_stage1, tiny, tmp_path, monkeypatch):
    workspace, data = tiny
    execute(workspace, Run("tiny", method, 0, 20, 50), data, tmp_path)
    trained = [note.split()[1] for note in workspace.notes() if note.startswith("train")]
    ending = "_20epochs_50iterations"
    assert trained == [f"PASegStage1{kind}Trainer{of_stage1}{ending}" for kind in ("", "Aux")] + [
        f"PASegStage2Trainer{variant}{ending}"
    ]
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    plans = type("Plans", (), {"plans_name": "small8Plans_2x1x1", "dataset_name": "Dataset011_TinyAdaptive0"})
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
        check(METHODS["mixed"], TASKS["abdomen"])


def test_cells_of_the_grid():
    found = list(runs(["hippocampus2", "atrium-4mm"], ["stage2", "dense"], [0, 1], preset="cpu"))
    assert [cell.name for cell in found] == [
        f"{task}_{cell}{mirroring}_20epochs_250iterations"
        for task, mirroring in (("hippocampus2", "_nomirroring"), ("atrium-4mm", ""))
        for cell in ("stage2_0", "dense_0", "stage2_1")
    ]
    [gpu] = runs(["atrium-4mm"], ["stage1"], [3], [2], preset="gpu")
    assert gpu.name == "atrium-4mm_stage1_3_1000epochs_250iterations_seed2_gpu"
    numbers = {
        dataset_of(Run(task, method, seed, 1, 1)): METHODS[method].labels
        for task in TASKS
        for method in METHODS
        for seed in POINT_SEEDS
    }
    assert len({number for number, _ in numbers}) == len(numbers)
    assert max(numbers)[0] < 1000
