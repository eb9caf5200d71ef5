"""A dataset of clicked phantoms and a model with two folds, whose networks are as they were initialised."""

from __future__ import annotations

import json
import os
import shutil
from unittest import mock

import pytest
import torch

from nnunet_paseg.cli import main
from nnunet_paseg.trainers import PASegStage1Trainer, PASegStage2Trainer
from tests.trainers.conftest import DATASET, PLANS, workspace  # noqa: F401

FOLDS = (0, 1)


@pytest.fixture(scope="session")
def model(workspace):  # noqa: F811
    """The workspace, with checkpoints of both stages: fold 0 was not trained on the first two cases, and so on."""
    preprocessed = workspace.preprocessed / DATASET
    cases = sorted(path.name.removesuffix(".nii.gz") for path in (workspace.raw / DATASET / "labelsTr").iterdir())
    splits = [
        {"train": [case for case in cases if case not in cases[2 * fold : 2 * fold + 2]], "val": cases[2 * fold :][:2]}
        for fold in FOLDS
    ]
    (preprocessed / "splits_final.json").write_text(json.dumps(splits), encoding="utf-8")
    plans = json.loads((preprocessed / f"{PLANS}.json").read_text(encoding="utf-8"))
    plans["continue_training"] = False
    dataset_json = json.loads((preprocessed / "dataset.json").read_text(encoding="utf-8"))
    with mock.patch.dict(os.environ, workspace.environment()):
        for trainer_class in (PASegStage1Trainer, PASegStage2Trainer):
            for fold in FOLDS:
                torch.manual_seed(fold)
                trainer = trainer_class(dict(plans), "3d_fullres", fold, dataset_json, torch.device("cpu"))
                trainer.initialize()
                trainer.inference_allowed_mirroring_axes = (0,)
                folder = workspace.results / DATASET / f"{trainer_class.__name__}__{PLANS}__3d_fullres"
                for name, source in (("plans", PLANS), ("dataset", "dataset")):
                    shutil.copyfile(preprocessed / f"{source}.json", folder / f"{name}.json")
                trainer.save_checkpoint(str(folder / f"fold_{fold}" / "checkpoint_final.pth"))
    return workspace


@pytest.fixture
def nnunet(model, monkeypatch):
    """The folders of nnU-Net in the environment; returns the raw dataset."""
    for name, value in model.environment().items():
        monkeypatch.setenv(name, value)
    return model.raw / DATASET


def complete(output, *options, trainer="PASegStage2Trainer", folds=FOLDS):
    """Run ``paseg complete`` on the CPU, in this process, and return its exit status."""
    words = ["-d", "902", "-tr", trainer, "-p", PLANS, "-device", "cpu", "-np", "1", "-o", str(output), *options]
    return main(["complete", *words, "-f", *map(str, folds)])


@pytest.fixture(scope="session")
def completed(model, tmp_path_factory):
    """Masks by both students of both folds; not to be changed."""
    folder = tmp_path_factory.mktemp("completed") / "masks"
    with mock.patch.dict(os.environ, model.environment()):
        assert complete(folder) == 0
    return folder


@pytest.fixture
def own_raw(nnunet, tmp_path, monkeypatch):
    """A copy of the raw dataset that a test may change, with four of its cases."""
    left_out = [f"*case_00{number}*" for number in (3, 4, 6, 7)]
    shutil.copytree(nnunet, tmp_path / "raw" / DATASET, ignore=shutil.ignore_patterns(*left_out))
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    return tmp_path / "raw" / DATASET
