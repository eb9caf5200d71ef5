import math
from pathlib import Path

import numpy as np
import pytest

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers import PASegStage1Trainer
from nnunet_paseg.trainers.checkpoints.selection import selection_cases
from nnunet_paseg.trainers.watch import progress
from tests.trainers.data.test_padding import round_body

IGNORE = 3


class Cases:
    """Stands for nnU-Net's dataset: name -> (unlabelled slices, labels that occur)."""

    def __init__(self, **cases):
        self.cases, self.identifiers = cases, list(cases)

    def load_case(self, name):
        unlabelled, found = self.cases[name]
        labels = np.zeros((1, 70, 4, 4), dtype=np.int16)
        labels[0, unlabelled, 1, 1] = IGNORE
        locations = {label: [[0, 0, 0, 0]] * (label in found) for label in (1, 2)}
        return None, labels, None, {"class_locations": {**locations, (-1, 0, 1, 2): [[0, 0, 0, 0]]}}


def test_cases_without_an_unlabelled_voxel():
    cases = Cases(a=([], [1]), b=([69], [1, 2]), c=([], []), d=([0], [2]), e=([], [2]))
    assert selection_cases(cases, IGNORE, ()) == ["a", "c", "e"]
    assert selection_cases(cases, IGNORE, {"a", "b"}) == ["c", "e"]


def test_background_alone_tells_nothing():
    assert selection_cases(Cases(a=([], []), b=([3], [1])), IGNORE, ()) == []
    assert selection_cases(Cases(), IGNORE, ()) == []


def epoch_with_dice(trainer, dice):
    """The end of an epoch in which nnU-Net found this pseudo Dice."""
    epoch = trainer.current_epoch
    for key in ("train_losses", "val_losses", "lrs", "epoch_start_timestamps"):
        trainer.logger.log(key, 1.0, epoch)
    trainer.logger.log("dice_per_class_or_region", [dice], epoch)
    trainer.logger.log("mean_fg_dice", dice, epoch)
    trainer.on_epoch_end()


def started(make_trainer, preprocess, tmp_path, monkeypatch, *, dense, fold="all"):
    rng = np.random.default_rng(0)
    cases = {}
    for name in ("point_0", "point_1", *(["dense"] if dense else [])):
        image, labels, _ = round_body(rng)
        cases[name] = (image, np.where(labels == IGNORE, 0, labels) if name == "dense" else labels)
    plans = preprocess(cases)
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    trainer = make_trainer(PASegStage1Trainer, plans=plans, fold=fold)
    if fold != "all":
        trainer.do_split = lambda: (["point_0", "point_1"], [name for name in cases if name != "point_0"])
    trainer.num_epochs, trainer.save_every = 10, 100
    trainer.logger.plot_progress_png = trainer.draw_patches = lambda *_: None
    monkeypatch.setattr(progress, "plot_terms", lambda *_: None)
    trainer.initialize()
    _, validation = trainer.get_tr_and_val_datasets()
    for dice in (0.5, 0.9, 0.1):
        epoch_with_dice(trainer, dice)
    return trainer, validation


def test_the_best_epoch_is_chosen_on_densely_annotated_cases(make_trainer, preprocess, tmp_path, monkeypatch):
    trainer, validation = started(make_trainer, preprocess, tmp_path, monkeypatch, dense=True, fold=0)
    assert validation.identifiers == ["dense"]
    assert trainer._best_ema == pytest.approx(0.9 * 0.5 + 0.1 * 0.9)
    trainer.load_checkpoint(f"{trainer.output_folder}/checkpoint_best.pth")
    assert trainer.current_epoch == 2


def test_training_cases_choose_no_epoch(make_trainer, preprocess, tmp_path, monkeypatch):
    """Fold all: its validation cases are its training cases."""
    trainer, validation = started(make_trainer, preprocess, tmp_path, monkeypatch, dense=True)
    assert sorted(validation.identifiers) == ["dense", "point_0", "point_1"]
    assert not (Path(trainer.output_folder) / "checkpoint_best.pth").exists()
    with pytest.raises(PasegError, match="fold all validates its training cases"):
        trainer.load_checkpoint(f"{trainer.output_folder}/checkpoint_best.pth")


def test_seeds_choose_no_epoch(make_trainer, preprocess, tmp_path, monkeypatch):
    trainer, validation = started(make_trainer, preprocess, tmp_path, monkeypatch, dense=False)
    assert sorted(validation.identifiers) == ["point_0", "point_1"]
    assert trainer._best_ema == math.inf
    # That of the first epoch, to continue from.
    assert [file.name for file in Path(trainer.output_folder).glob("checkpoint*")] == ["checkpoint_latest.pth"]
    with pytest.raises(PasegError, match=r"There is no .*checkpoint_best\.pth: without .* final weights"):
        trainer.load_checkpoint(f"{trainer.output_folder}/checkpoint_best.pth")


def test_a_training_that_goes_on_with_other_cases_finds_its_best_again(make_trainer, preprocess, tmp_path, monkeypatch):
    trainer, _ = started(make_trainer, preprocess, tmp_path, monkeypatch, dense=False)
    trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_latest.pth")
    trainer.load_checkpoint(f"{trainer.output_folder}/checkpoint_latest.pth")
    assert trainer._best_ema < 1
