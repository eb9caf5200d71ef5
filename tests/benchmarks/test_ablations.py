"""The accuracy benchmark's own trainers, as nnU-Net finds them."""

import re

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

from benchmarks.accuracy.execute import SESSION
from benchmarks.accuracy.grid import METHODS
from benchmarks.accuracy.source import revision
from benchmarks.accuracy.workspace import BenchmarkWorkspace


@pytest.fixture
def make(monkeypatch, tmp_path):
    """A trainer by name, made as nnU-Net makes it, without data."""
    for key, value in BenchmarkWorkspace(tmp_path).environment().items():
        monkeypatch.setenv(key, value)

    def make(name):
        plans = {"dataset_name": "D", "plans_name": "P", "continue_training": False}
        plans["configurations"] = {"3d_fullres": {"data_identifier": "D", "architecture": {}}}
        cls = recursive_find_trainer_class_by_name(name)
        return cls(plans, "3d_fullres", 0, {"labels": {"background": 0}, "file_ending": ".nii.gz"}, torch.device("cpu"))

    return make


@pytest.mark.parametrize("trainer", sorted({method.trainer for method in METHODS.values()}))
def test_nnunet_finds_every_trainer_of_the_grid(trainer, make):
    made = make(f"{trainer}_2epochs_3iterations_seed5")
    assert type(made).__name__ == f"{trainer}_2epochs_3iterations_seed5"
    assert (made.num_epochs, made.num_iterations_per_epoch) == (2, 3)
    assert made.output_folder.endswith(f"{trainer}_2epochs_3iterations_seed5__P__3d_fullres/fold_0")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("PASegStage1Trainer_nomcrf", {"mcrf_weight": 0.0}),
        ("PASegStage1Trainer_novm_3epochs", {"vm_weight": 0.0}),
        ("PASegStage1AuxTrainer_plain", {"mcrf_weight": 0.0, "vm_weight": 0.0}),
        ("PASegStage2Trainer_fromplain", {}),
        ("PASegStage2Trainer_self_3epochs_2iterations", {"pseudo_labels": "hard", "distillation_weight": 0.0}),
        ("PASegStage2Trainer_hard", {"pseudo_labels": "hard"}),
        ("PASegStage2Trainer_noteachers", {"distillation_weight": 0.0}),
        ("PASegStage2Trainer_distillation_seed1", {"distillation_weight": 1.0}),
    ],
)
def test_what_is_left_out(name, changes, make):
    before, after = make(name.partition("_")[0]).hyper_parameters(), make(name).hyper_parameters()
    assert {key: value for key, value in after.items() if before[key] != value} == changes


def test_a_seed_fixes_what_the_training_draws(make):
    drawn = []
    for seed in (1, 1, 2):
        make(f"nnUNetTrainer_2epochs_seed{seed}")
        drawn.append((torch.rand(1).item(), np.random.rand()))
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.fixture
def stock(make, monkeypatch):
    """A stock trainer of the benchmark with a convolution as its network."""

    def initialize(trainer):
        trainer.network = torch.nn.Conv3d(2, 2, 3)

    monkeypatch.setattr(nnUNetTrainer, "initialize", initialize)

    def stock(name="nnUNetTrainer_2epochs", **attributes):
        trainer = make(name)
        for key, value in attributes.items():
            monkeypatch.setattr(type(trainer), key, value)
        trainer.initialize()
        return trainer

    return stock


@pytest.mark.parametrize("name", ["nnUNetTrainer_2epochs", "nnUNetTrainer_nomirroring_2epochs_seed1"])
def test_stock_nnunet_has_our_layout_in_memory_and_a_checkpoint_per_epoch(name, stock):
    trainer = stock(name)
    assert trainer.network.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert trainer.save_every == 1
    assert trainer.extra_checkpoint()["random_state"]


@pytest.mark.parametrize(("fast", "precision"), [(False, "float32"), (True, "bfloat16")])
def test_every_session_logs_its_revision_and_precision(fast, precision, stock, monkeypatch):
    trainer, lines = stock(is_bfloat16=property(lambda _: fast)), []
    monkeypatch.setattr(nnUNetTrainer, "on_train_start", lambda _: None)
    monkeypatch.setattr(trainer, "print_to_log_file", lambda *words: lines.append(" ".join(map(str, words))))
    trainer.on_train_start()
    found = re.search(SESSION, "\n".join(lines))
    assert found.groupdict() == {"revision": revision(), "precision": precision}


def test_what_cannot_be_left_out(make):
    with pytest.raises(AttributeError, match="PASegStage1Trainer has no pseudo_labels"):
        make("PASegStage1Trainer_self")
