from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers import PASegStage1AuxTrainer, PASegStage1Trainer, PASegStage2Trainer
from nnunet_paseg.trainers.checks import check_refreshes, check_seeds, check_weights
from tests.trainers.data.test_padding import round_body

LABELS = SimpleNamespace(foreground_labels=[1, 2], all_labels=[0, 1, 2])
NAMES = {"background": 0, "tumour": 1, "vessel": 2, "ignore": 3}
COMMAND = "nnUNetv2_train Dataset902_Tiny 3d_fullres 0 -tr {} -p tinyPlans -device cpu"


class Cases:
    """Stands for nnU-Net's dataset: name -> the labels in it."""

    def __init__(self, **cases):
        self.cases, self.identifiers, self.read = cases, list(cases), []

    def load_case(self, name):
        self.read.append(name)
        locations = {label: [[0, 1, 2, 3]] * (label in self.cases[name]) for label in (1, 2)}
        return None, None, None, {"class_locations": {**locations, (-1, 0, 1, 2): []}}


def test_classes_may_be_spread_over_the_cases():
    cases = Cases(a=[], b=[1], c=[2], d=[1, 2])
    check_seeds(cases, LABELS, NAMES, 0)
    assert cases.read == ["a", "b", "c"]


def test_a_class_without_a_seed_is_named():
    with pytest.raises(PasegError, match=r"None of the 3 training cases of fold 1 has a voxel labelled 'vessel' after"):
        check_seeds(Cases(a=[1], b=[], c=[1]), LABELS, NAMES, 1)
    with pytest.raises(PasegError, match="'tumour', 'vessel'"):
        check_seeds(Cases(a=[]), LABELS, NAMES, "all")


def test_preprocessing_that_knew_no_ignore_label():
    cases = Cases(a=[1, 2])
    cases.load_case = lambda _: (None, None, None, {"class_locations": {1: [], 2: []}})
    with pytest.raises(PasegError, match=r"Case a was preprocessed when .* run nnUNetv2_plan_and_preprocess"):
        check_seeds(cases, LABELS, NAMES, 0)


@pytest.mark.parametrize("cls", [PASegStage1Trainer, PASegStage2Trainer])
def test_a_training_does_not_start_without_seeds_of_a_class(make_trainer, preprocess, cls):
    image, labels, _ = round_body(np.random.default_rng(0))
    labels[labels == 2] = 3
    trainer = make_trainer(cls, plans=preprocess({"case": (image, labels)}))
    trainer.initialize()
    with pytest.raises(PasegError, match="None of the 1 training cases of fold all has a voxel labelled 'lesion_2'"):
        trainer.get_dataloaders()


@pytest.mark.parametrize(
    ("interval", "epochs", "refreshes"), [(0.2, 2, 1), (0.2, 1000, 4), (1.0, 1, 0), (0.5, 2, 1), (0.9, 5, 1)]
)
def test_enough_epochs(make_trainer, interval, epochs, refreshes):
    trainer = make_trainer(PASegStage2Trainer, fold=0)
    trainer.num_epochs, trainer.refresh_interval = epochs, interval
    period = trainer.refresh_period()
    check_refreshes(interval, period, epochs)
    assert len(range(period, epochs, period)) == refreshes


@pytest.mark.parametrize("folder", ["nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"])
def test_folders_that_nnunet_does_not_expand(make_trainer, monkeypatch, tmp_path, folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(folder, "~/nnunet")
    with pytest.raises(PasegError, match=f"{folder} is '~/nnunet', and nnU-Net does not expand '~'"):
        make_trainer(PASegStage1Trainer)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("interval", "epochs", "after"), [(0.2, 1, 1), (0.9, 4, 4), (0.8, 2, 2)])
def test_too_few_epochs(make_trainer, interval, epochs, after):
    trainer = make_trainer(PASegStage2Trainer, fold=0)
    trainer.num_epochs, trainer.refresh_interval = epochs, interval
    message = (
        rf"num_epochs = {epochs} would end .* after {after} epochs \(refresh_interval = {interval}\): train more epochs"
    )
    with pytest.raises(PasegError, match=message):
        trainer.on_train_start()
    assert not trainer.was_initialized


@pytest.mark.parametrize("interval", [0, -0.2])
def test_an_interval_that_is_none(make_trainer, interval):
    trainer = make_trainer(PASegStage2Trainer, fold=0)
    trainer.refresh_interval = interval
    with pytest.raises(PasegError, match=r"refresh_interval = .* is not positive: set it"):
        trainer.on_train_start()


def test_pseudo_labels_of_no_kind(make_trainer):
    trainer = make_trainer(PASegStage2Trainer, fold=0)
    trainer.pseudo_labels = "Soft"
    with pytest.raises(PasegError, match=r"pseudo_labels = 'Soft' is invalid: set it to 'soft' or 'hard'"):
        trainer.on_train_start()
    assert not trainer.was_initialized


def test_weights_of_another_network():
    network, remedy = nn.Linear(2, 3), "Train again."
    check_weights(network.state_dict(), network, "file", remedy)
    with pytest.raises(
        PasegError, match=r"file contains a different network than this Linear: weight is \(3, 4\) .* \(3, 2\)"
    ):
        check_weights(nn.Linear(4, 3).state_dict(), network, "file", remedy)
    with pytest.raises(PasegError, match=r"bias is missing in the file and \(3,\) here\. Train again\."):
        check_weights(nn.Linear(2, 3, bias=False).state_dict(), network, "file", remedy)


@pytest.fixture
def stage1(make_trainer, monkeypatch, tmp_path):
    """Final checkpoints of both trainers of stage 1; the arguments change that of the auxiliary one."""
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")

    def make(change=lambda checkpoint: None):
        for cls in (PASegStage1Trainer, PASegStage1AuxTrainer):
            trainer = make_trainer(cls, fold=0)
            trainer.initialize()
            file = f"{trainer.output_folder}/checkpoint_final.pth"
            trainer.save_checkpoint(file)
        checkpoint = torch.load(file, weights_only=False)
        change(checkpoint)
        torch.save(checkpoint, file)
        return make_trainer(PASegStage2Trainer, fold=0), file

    # make_trainer has set the workspace's own folder before.
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    return make


def fails(trainer, message):
    with pytest.raises(PasegError, match=message) as raised:
        trainer.on_train_start()
    assert trainer.dataloader_train is None
    return str(raised.value)


def test_stage_1_that_fits(stage1):
    trainer, auxiliary = stage1()
    trainer.initialize()
    trainer.load_stage1()
    primary = auxiliary.replace("PASegStage1AuxTrainer", "PASegStage1Trainer")
    for network, file in ((trainer.network, primary), (trainer.auxiliary["network"], auxiliary)):
        weights = torch.load(file, weights_only=False)["network_weights"]
        assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["init_args"]["plans"].update(plans_name="other"), "the plans 'other', this training has 'tinyPl"),
        (lambda c: c["init_args"].update(configuration="2d"), "the configuration '2d', this training has '3d_fullres'"),
        (lambda c: c["init_args"].update(fold=3), "fold '3', this training has '0'"),
        (
            lambda c: c["init_args"]["dataset_json"].update(channel_names={"0": "CT"}),
            r"the channels \['CT'\], this tra",
        ),
        (lambda c: c["init_args"]["dataset_json"]["labels"].update(extra=4), "the labels .*'extra': 4"),
        (
            lambda c: c["init_args"]["plans"]["configurations"]["3d_fullres"].update(spacing=[1.0, 1.0, 1.0]),
            r"the spacing \[1\.0, 1\.0, 1\.0\]",
        ),
        (lambda c: c.pop("init_args"), "is not a checkpoint of an nnU-Net training"),
        (
            lambda c: c["network_weights"].update({"decoder.extra": torch.zeros(1)}),
            "contains a different network than this ResidualEncoderUNet: decoder.extra",
        ),
    ],
)
def test_stage_1_of_something_else(stage1, change, message):
    trainer, _ = stage1(change)
    assert COMMAND.format("PASegStage1AuxTrainer") in fails(trainer, message)


def test_a_damaged_checkpoint_of_stage_1(stage1):
    trainer, file = stage1()
    with open(file, "r+b") as damaged:
        damaged.truncate(1000)
    fails(trainer, r"PASegStage1AuxTrainer__tinyPlans__3d_fullres/fold_0/checkpoint_final\.pth cannot be read")
