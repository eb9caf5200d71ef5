import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers import PASegStage1AuxTrainer, PASegStage1Trainer, PASegStage2Trainer
from nnunet_paseg.trainers.checkpoints.checkpointing import unwrap
from nnunet_paseg.trainers.prior import FOREGROUND_PRIOR
from nnunet_paseg.trainers.variants import trainer_class


def priors(network):
    """Class probabilities that the bias of every output layer gives alone."""
    return [head.bias.detach().softmax(0) for head in unwrap(network).decoder.seg_layers]


@pytest.mark.parametrize("cls", [PASegStage1Trainer, PASegStage1AuxTrainer, PASegStage2Trainer])
def test_a_new_network_starts_with_mostly_background(make_trainer, cls):
    trainer = make_trainer(cls)
    trainer.initialize()
    networks = [trainer.network, *([trainer.auxiliary["network"]] if hasattr(trainer, "auxiliary") else [])]
    for network in networks:
        for found in priors(network):
            expected = torch.tensor([1 - FOREGROUND_PRIOR, FOREGROUND_PRIOR / 2, FOREGROUND_PRIOR / 2])
            torch.testing.assert_close(found, expected)


def test_the_published_trainings_and_stock_nnunet_start_as_nnunet_does(make_trainer):
    torch.manual_seed(0)
    published = make_trainer(trainer_class("PASegStage1Trainer_paper"))
    published.initialize()
    assert all(found[0] < 0.7 for found in priors(published.network))
    assert not hasattr(trainer_class("nnUNetTrainer_2epochs"), "foreground_prior")


def test_stock_nnunet_can_start_at_the_prior(make_trainer):
    cls = trainer_class("nnUNetTrainer_prior_2epochs")
    assert issubclass(cls, nnUNetTrainer)
    trainer = make_trainer(cls)
    trainer.initialize()
    assert all(found[0].item() == pytest.approx(1 - FOREGROUND_PRIOR) for found in priors(trainer.network))


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1])
def test_a_prior_that_is_no_probability_is_refused(make_trainer, value):
    trainer = make_trainer(PASegStage1Trainer)
    trainer.foreground_prior = value
    with pytest.raises(PasegError, match=f"foreground_prior is {value}: choose a probability between 0 and 1, or None"):
        trainer.initialize()
