import math

import numpy as np
import pytest
from matplotlib import image as matplotlib_image
from nnunetv2.training.logging.nnunet_logger import MetaLogger

from nnunet_paseg.trainers import PASegStage1Trainer
from nnunet_paseg.trainers.watch.progress import log_terms, plot_terms


@pytest.fixture
def logger(tmp_path):
    return MetaLogger(str(tmp_path), resume=False)


def history(logger):
    return logger.get_checkpoint()


def test_one_value_an_epoch(logger):
    for epoch in range(3):
        log_terms(logger, {"mcrf": epoch / 2, "vm": 1.0}, epoch)
    assert history(logger)["paseg/mcrf"] == [0, 0.5, 1]
    assert history(logger)["paseg/vm"] == [1, 1, 1]


def test_every_logger_gets_them(logger):
    class Other:
        def __init__(self):
            self.logged = []

        def log(self, *values):
            self.logged.append(values)

    other = Other()
    logger.loggers.append(other)
    log_terms(logger, {"mcrf": np.float32(0.5)}, 0)
    assert other.logged == [("paseg/mcrf", 0.5, 0)]


class WeightsAndBiases:
    """Stands for the package wandb, and for the run that its ``init`` makes."""

    def __init__(self):
        self.step, self.summary, self.config, self.logged = 0, {}, {}, []

    def init(self, **_):
        return self

    def log(self, values, step):
        self.logged.append((values, step))


def test_an_epoch_in_the_log_and_in_the_logger_that_is_switched_on(make_trainer, monkeypatch, tmp_path, capsys):
    wandb = WeightsAndBiases()
    monkeypatch.setattr("nnunetv2.training.logging.nnunet_logger.wandb", wandb)
    monkeypatch.setenv("nnUNet_wandb_enabled", "1")
    trainer = make_trainer(PASegStage1Trainer)
    trainer.log_file = str(tmp_path / "log.txt")
    trainer.on_train_epoch_end([{"loss": 3.0, "mcrf": 0.5, "vm": 2.0}, {"loss": 1.0, "mcrf": 1.0, "vm": 2.0}])
    assert "Loss terms: {'mcrf': 0.75, 'vm': 2.0}" in capsys.readouterr().out
    assert "Loss terms: {'mcrf': 0.75, 'vm': 2.0}" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert wandb.logged == [({"train_losses": 2.0}, 0), ({"paseg/mcrf": 0.75}, 0), ({"paseg/vm": 2.0}, 0)]


def test_a_log_that_was_continued_stays_in_step(logger):
    """A training that was started before a term existed, and one that no longer has it."""
    logger.load_checkpoint({**history(logger), "train_losses": [1.0, 1.0], "paseg/old": [3.0, 3.0]})
    log_terms(logger, {"new": 4.0}, 2)
    assert history(logger)["paseg/old"] == pytest.approx([3, 3, math.nan], nan_ok=True)
    assert history(logger)["paseg/new"] == pytest.approx([math.nan, math.nan, 4], nan_ok=True)


def test_the_picture(tmp_path):
    values = {f"paseg/term {number}": [1.0, math.nan, 2.0] for number in range(4)}
    plot_terms({**values, "lrs": [1, 2, 3]}, tmp_path / "paseg_progress.png")
    assert [path.name for path in tmp_path.iterdir()] == ["paseg_progress.png"]
    picture = matplotlib_image.imread(tmp_path / "paseg_progress.png")
    assert picture.shape[:2] == (560, 1200), "four panels in two rows of three"
    assert picture[..., :3].std() > 0.01


def test_no_picture_without_terms(tmp_path):
    plot_terms({"lrs": [1.0]}, tmp_path / "paseg_progress.png")
    assert not list(tmp_path.iterdir())
