"""bfloat16 in the networks of a training, float32 in weights and losses. The CPU need not be fast with bfloat16."""

import pytest
import torch

from nnunet_paseg.io import processor
from nnunet_paseg.trainers import PASegStage1AuxTrainer, PASegStage1Trainer, PASegStage2Trainer, precision
from nnunet_paseg.trainers.precision import in_float32
from tests.trainers.test_stage1 import batch_of


@pytest.fixture(params=[False, True])
def fast(request, monkeypatch):
    monkeypatch.setattr(precision, "fast_bfloat16", lambda _: request.param)
    return request.param


def watched(network):
    """The precisions of what the first output layer computes, filled by every forward pass."""
    found = []
    network.decoder.seg_layers[-1].register_forward_hook(lambda *arguments: found.append(arguments[-1].dtype))
    return found


@pytest.mark.parametrize("cls", [PASegStage1Trainer, PASegStage1AuxTrainer, PASegStage2Trainer])
def test_networks_compute_in_bfloat16_and_losses_in_float32(fast, cls, make_trainer, monkeypatch):
    trainer = make_trainer(cls)
    trainer.initialize()
    students = [trainer.network, *([trainer.auxiliary["network"]] if cls is PASegStage2Trainer else [])]
    computed = [watched(network) for network in [*students, *getattr(trainer, "teachers", [])]]
    outputs = []
    for network in students:
        network.register_forward_hook(lambda *arguments: outputs.extend(part.dtype for part in arguments[-1]))
    loss = trainer.train_step(batch_of(trainer))["loss"]
    assert torch.isfinite(torch.as_tensor(loss))
    assert all(found == [torch.bfloat16 if fast else torch.float32] for found in computed)
    assert set(outputs) == {torch.float32}
    for network in students:
        assert {weight.dtype for weight in network.parameters()} == {torch.float32}
        assert {weight.grad.dtype for weight in network.parameters() if weight.grad is not None} == {torch.float32}


def test_one_step_differs_by_rounding_only(make_trainer, monkeypatch):
    losses = []
    for value in (False, True):
        monkeypatch.setattr(precision, "fast_bfloat16", lambda _, value=value: value)
        torch.manual_seed(0)
        trainer = make_trainer(PASegStage1Trainer)
        trainer.initialize()
        torch.manual_seed(1)
        losses.append(float(trainer.train_step(batch_of(trainer))["loss"]))
    assert losses[0] == pytest.approx(losses[1], abs=0.02)
    assert losses[0] != losses[1]


def test_all_resolutions_of_deep_supervision_are_in_float32():
    halves = in_float32(None, None, [torch.zeros(1, dtype=torch.bfloat16)] * 2)
    assert [half.dtype for half in halves] == [torch.float32] * 2


def test_instructions_decide(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    for supported in (False, True):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda supported=supported: supported)
        assert processor.fast_bfloat16(torch.device("cpu")) == supported
    assert processor.fast_bfloat16(torch.device("cuda"))
    assert not processor.fast_bfloat16(torch.device("mps"))


def test_a_torch_that_cannot_tell_uses_float32(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert not processor.fast_bfloat16(torch.device("cpu"))
