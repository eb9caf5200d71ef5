import pytest
import torch
from nnunetv2.run.run_training import maybe_load_checkpoint
from torch import nn

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers import PASegStage1Trainer, PASegStage2Trainer
from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint
from nnunet_paseg.trainers.weight_average import WeightAverage
from tests.trainers.checkpoints.test_resume import Killed, seed_everything
from tests.trainers.test_killed_training import assert_equal, final, kill_in_the_middle_of_epoch
from tests.trainers.test_stage1 import batch_of


def network_of(value):
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, affine=False))
    nn.init.constant_(network[0].weight, value)
    return network


def test_the_average_by_hand():
    average = WeightAverage(network_of(1.0), 0.5)
    # Decays: 1/10, 2/11, then 0.5 as soon as (1 + n) / (10 + n) is larger, at n = 8.
    average.update(network_of(2.0))
    assert average.weights["0.weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 2)
    average.update(network_of(3.0))
    assert average.weights["0.weight"].item() == pytest.approx(2 / 11 * 1.9 + 9 / 11 * 3)
    late = WeightAverage(network_of(1.0), 0.5, updates=8)
    late.update(network_of(3.0))
    assert late.weights["0.weight"].item() == pytest.approx(2.0)


def test_counters_are_copied():
    network = network_of(1.0)
    average = WeightAverage(network, 0.9)
    network(torch.randn(4, 1))
    average.update(network)
    assert average.weights["1.num_batches_tracked"] == 1


def test_two_swaps_change_nothing():
    network, average = network_of(1.0), WeightAverage(network_of(5.0), 0.9)
    average.swap(network)
    assert network[0].weight.item() == 5
    assert average.weights["0.weight"].item() == 1
    average.swap(network)
    assert network[0].weight.item() == 1
    assert average.weights["0.weight"].item() == 5


def test_a_weight_of_two_names_is_swapped_once():
    """As the encoder that is also a part of nnU-Net's decoder."""
    network, other = network_of(1.0), network_of(5.0)
    average = WeightAverage(nn.ModuleList([other, other]), 0.9)
    both = nn.ModuleList([network, network])
    for expected in (5, 1, 5):
        average.swap(both)
        assert network[0].weight.item() == expected


@pytest.mark.parametrize("decay", [0, 1, 1.5, -0.1])
def test_a_decay_that_is_none(decay):
    with pytest.raises(PasegError, match=r"ema_decay must lie between 0 and 1, or be None for no average; got"):
        WeightAverage(network_of(1.0), decay)


@pytest.fixture
def start(make_trainer, monkeypatch, tmp_path):
    def make(cls=PASegStage1Trainer, name="results", *, seed=0, resumed=False):
        monkeypatch.setenv("nnUNet_results", str(tmp_path / name))
        seed_everything(seed)
        trainer = make_trainer(cls, fold=0)
        trainer.num_epochs, trainer.save_every, trainer.ema_decay = 3, 1, 0.9
        trainer.logger.plot_progress_png = trainer.draw_patches = lambda *_: None
        maybe_load_checkpoint(trainer, resumed, False)
        return trainer

    return make


def test_a_killed_training_goes_on_with_both(start):
    undisturbed = start(name="undisturbed")
    undisturbed.run_training()
    trainer = start()
    kill_in_the_middle_of_epoch(trainer, 1)
    with pytest.raises(Killed):
        trainer.run_training()
    trainer = start(resumed=True, seed=9)
    trainer.run_training()
    expected, got = final(undisturbed), final(trainer)
    for checkpoint in (expected, got):
        del checkpoint["logging"]
    assert_equal(expected, got)
    trained, averaged = got["paseg"]["trained_weights"], got["network_weights"]
    assert_equal(dict(trained), dict(trainer.network.state_dict()))
    assert_equal(averaged, trainer.weight_average.weights)
    assert any(not torch.equal(trained[name], averaged[name]) for name in trained)
    assert got["paseg"]["averaged_steps"] == 3 * trainer.num_iterations_per_epoch


def test_the_average_predicts(start, monkeypatch):
    trainer = start()
    trainer.run_training()
    averaged, trained = trainer.weight_average.weights, dict(trainer.network.state_dict())
    name = next(iter(trained))
    seen = []
    step = PASegStage1Trainer.__mro__[3].validation_step
    trainer.validation_step = lambda batch: (
        seen.append(trainer.network.state_dict()[name].clone()) or step(trainer, batch)
    )
    expected = averaged[name].clone()
    with torch.no_grad():
        trainer.on_validation_epoch_start()
        trainer.validation_step({**batch_of(trainer), "target": [t.clamp(max=3) for t in batch_of(trainer)["target"]]})
    trainer._swap_average()
    assert torch.equal(seen[0], expected)
    assert torch.equal(trainer.network.state_dict()[name], trained[name])
    # --val: the final checkpoint is loaded, and nnU-Net's validation predicts.
    other = start(resumed=True)
    monkeypatch.setattr(
        "nnunetv2.training.nnUNetTrainer.nnUNetTrainer.nnUNetTrainer.perform_actual_validation",
        lambda self, save_probabilities: seen.append(self.network.state_dict()[name].clone()),
    )
    other.perform_actual_validation()
    assert torch.equal(seen[1], expected)
    assert torch.equal(other.network.state_dict()[name], trained[name])


def test_stage_2_averages_the_network_that_predicts(start, tmp_path):
    trainer = start(PASegStage2Trainer)
    trainer.initialize()
    trainer.weight_average = WeightAverage(trainer.network, 0.9)
    for seed in range(2):
        trainer.train_step(batch_of(trainer, seed))
    assert trainer.weight_average.updates == 2
    assert trainer.auxiliary["weight_average"] is None
    file = str(tmp_path / "checkpoint.pth")
    trainer.save_checkpoint(file)
    checkpoint = read_checkpoint(file)
    assert_equal(dict(checkpoint["paseg"]["trained_weights"]), dict(trainer.network.state_dict()))
    assert_equal(checkpoint["network_weights"], trainer.weight_average.weights)
    other = start(PASegStage2Trainer)
    other.load_checkpoint(file)
    assert_equal(dict(other.network.state_dict()), dict(trainer.network.state_dict()))
    assert_equal(other.weight_average.weights, trainer.weight_average.weights)
    assert other.weight_average.updates == 2


def test_no_average_unless_asked_for(make_trainer):
    trainer = make_trainer(PASegStage1Trainer)
    trainer.initialize()
    trainer.train_step(batch_of(trainer))
    assert trainer.weight_average is None
    assert trainer.hyper_parameters()["ema_decay"] is None
