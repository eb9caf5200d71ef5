"""One step of both stages in every kind of configuration and dataset."""

import copy
import json

import numpy as np
import pytest
import torch

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers import PASegStage1AuxTrainer, PASegStage1Trainer, PASegStage2Trainer
from nnunet_paseg.trainers.architectures import RESIDUAL
from tests.trainers.conftest import DATASET, PLANS
from tests.trainers.data.test_padding import round_body
from tests.trainers.test_stage1 import batch_of

TRAINERS = [PASegStage1Trainer, PASegStage1AuxTrainer, PASegStage2Trainer]


@pytest.fixture
def plans(workspace):
    return json.loads((workspace.preprocessed / DATASET / f"{PLANS}.json").read_text(encoding="utf-8"))


def step(trainer, batch=None):
    """A training step that changes every network, and a validation step, on a batch of the loaders if none is given."""
    trainer.initialize()
    if batch is None:
        training, validation = trainer.get_dataloaders()
        batch = next(training)
    else:
        batch = batch(trainer)
        validation = None
    networks = [trainer.network]
    if isinstance(trainer, PASegStage2Trainer):
        networks.append(trainer.auxiliary["network"])
    before = [[weight.detach().clone() for weight in network.parameters()] for network in networks]
    result = trainer.train_step(batch)
    assert all(np.isfinite(value) for value in result.values())
    for weights, network in zip(before, networks, strict=True):
        assert any(not torch.equal(*pair) for pair in zip(weights, network.parameters(), strict=True))
    if validation is not None:
        with torch.no_grad():
            trainer.on_validation_epoch_start()
            assert np.isfinite(trainer.validation_step(next(validation))["loss"])
    return batch


@pytest.mark.parametrize("cls", TRAINERS)
def test_2d(make_trainer, plans, cls):
    # Both configurations have the same voxel size, so that the data of one serve the other.
    plans["configurations"]["2d"]["data_identifier"] = plans["configurations"]["3d_fullres"]["data_identifier"]
    batch = step(make_trainer(cls, configuration="2d", plans=plans))
    assert batch["data"].shape == (2, 1, 32, 32)


@pytest.mark.parametrize("cls", TRAINERS)
def test_3d_lowres_but_no_cascade(make_trainer, plans, cls):
    configurations = plans["configurations"]
    configurations["3d_lowres"] = {**configurations["3d_fullres"], "next_stage": "3d_cascade_fullres"}
    configurations["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    step(make_trainer(cls, configuration="3d_lowres", plans=copy.deepcopy(plans)))
    with pytest.raises(NotImplementedError, match="use 3d_fullres, 3d_lowres or 2d instead of 3d_cascade_fullres"):
        make_trainer(cls, configuration="3d_cascade_fullres", plans=plans).initialize()


@pytest.mark.parametrize("cls", TRAINERS)
def test_resenc_plans(make_trainer, plans, cls):
    network = plans["configurations"]["3d_fullres"]["architecture"]
    network["network_class_name"] = RESIDUAL
    stages = network["arch_kwargs"].pop("n_conv_per_stage")
    network["arch_kwargs"]["n_blocks_per_stage"] = [1, 3, *[4] * (len(stages) - 2)]
    network["arch_kwargs"]["n_conv_per_stage_decoder"] = [1] * (len(stages) - 1)
    trainer = make_trainer(cls, plans=plans)
    step(trainer, batch_of)
    families = {PASegStage1Trainer: "ResidualEncoderUNet", PASegStage1AuxTrainer: "PlainConvUNet"}
    assert type(trainer.network).__name__ == families.get(cls, "ResidualEncoderUNet")


@pytest.mark.parametrize("cls", TRAINERS)
def test_without_deep_supervision(make_trainer, cls):
    trainer = make_trainer(cls)
    trainer.enable_deep_supervision = False
    batch = step(trainer)
    assert isinstance(batch["target"], torch.Tensor)


@pytest.mark.filterwarnings("ignore:Warning! No annotated pixels in image!")
@pytest.mark.parametrize("cls", TRAINERS)
def test_two_channels_and_dense_point_empty_and_unlabelled_cases(make_trainer, preprocess, cls):
    cases = {}
    for name in ("points", "dense", "empty", "unlabelled"):
        image, labels, _ = round_body(np.random.default_rng(len(cases)), channels=2)
        if name == "dense":
            labels[labels == 3] = 0
        if name in ("empty", "unlabelled"):
            labels[...] = 0 if name == "empty" else 3
        cases[name] = image, labels
    trainer = make_trainer(cls, plans=preprocess(cases), channel_names={"0": "T1", "1": "T2"})
    batch = step(trainer)
    assert batch["data"].shape == (2, 2, 16, 32, 32)
    # Every kind of case in a batch of its own: one without a label may not make the loss infinite.
    training, _ = trainer.get_dataloaders()
    for name in cases:
        training.data_loader.indices = [name]
        result = trainer.train_step(next(training))
        assert all(np.isfinite(value) for value in result.values()), name


def test_the_channels_that_guide_the_image_terms(make_trainer, preprocess):
    image, labels, _ = round_body(np.random.default_rng(0), channels=2)
    plans = preprocess({"case": (image, labels)})
    terms = []
    for channels, noise in ((None, 0), (None, 5), ((0,), 0), ((0,), 5), ((1,), 5)):
        torch.manual_seed(0)
        trainer = make_trainer(PASegStage1Trainer, plans=dict(plans), channel_names={"0": "T1", "1": "T2"})
        trainer.mcrf_channels = channels
        trainer.initialize()
        batch = two_channels(trainer, noise)
        prepared = trainer.prepare_batch(batch)
        torch.manual_seed(1)
        trainer.loss([torch.randn(2, 3, *target.shape[2:]) for target in prepared.targets], prepared)
        terms.append((prepared.terms["mcrf"].item(), prepared.terms["vm"].item()))
    everything, everything_noisy, first, first_noisy, second_noisy = terms
    assert everything != pytest.approx(everything_noisy)
    assert first == pytest.approx(first_noisy)
    assert first != pytest.approx(second_noisy)


def two_channels(trainer, noise):
    batch = batch_of(trainer)
    other = batch["data"] * (1 + noise)
    return {**batch, "data": torch.cat([batch["data"], other], dim=1)}


@pytest.mark.parametrize("channels", [(1,), (), (-1,), (0.0,), (False,)])
def test_channels_that_are_not_there(make_trainer, channels):
    trainer = make_trainer(PASegStage1Trainer)
    trainer.mcrf_channels = channels
    with pytest.raises(PasegError, match=r"mcrf_channels = .* channels from 0 to 0, which are \['MRI'\]"):
        trainer.initialize()
