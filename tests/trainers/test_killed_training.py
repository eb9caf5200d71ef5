"""Trainings that are killed and continued, as ``nnUNetv2_train --c`` continues them."""

import shutil
from pathlib import Path

import pytest
import torch
from nnunetv2.run.run_training import maybe_load_checkpoint

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers import PASegStage1AuxTrainer, PASegStage1Trainer, PASegStage2Trainer, calibration
from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint
from nnunet_paseg.trainers.watch import progress
from tests.trainers.checkpoints.test_resume import Killed, seed_everything

EPOCHS = 4


@pytest.fixture
def start(make_trainer, monkeypatch, tmp_path):
    """A trainer in a results folder of its own, with given random numbers; plots only where they are asked for."""
    stage1 = tmp_path / "stage1"
    monkeypatch.setattr(calibration, "MAX_CASES", 2)
    plot_terms = progress.plot_terms

    def make(cls, name, *, seed, resumed=False, plots=False):
        monkeypatch.setattr(progress, "plot_terms", plot_terms if plots else lambda *_: None)
        monkeypatch.setenv("nnUNet_results", str(tmp_path / name))
        if cls is PASegStage2Trainer and not resumed:
            if not stage1.exists():
                monkeypatch.setenv("nnUNet_results", str(stage1))
                for teacher in (PASegStage1Trainer, PASegStage1AuxTrainer):
                    seed_everything(7)
                    trainer = make_trainer(teacher, fold=0)
                    trainer.initialize()
                    trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_final.pth")
                monkeypatch.setenv("nnUNet_results", str(tmp_path / name))
            shutil.copytree(stage1, tmp_path / name)
        seed_everything(seed)
        trainer = make_trainer(cls, fold=0)
        trainer.num_epochs, trainer.save_every = EPOCHS, 1
        trainer.logger.plot_progress_png = lambda *_: None  # slow, and no part of what is tested
        if not plots:
            trainer.draw_patches = lambda *_: None
        maybe_load_checkpoint(trainer, resumed, False)
        return trainer

    return make


def kill_in_the_middle_of_epoch(trainer, epoch):
    step, done = trainer.train_step, []

    def train_step(batch):
        if trainer.current_epoch == epoch and len(done) == 1:
            raise Killed
        done.extend([1] if trainer.current_epoch == epoch else [])
        return step(batch)

    trainer.train_step = train_step


def kill_while_saving_after_epoch(trainer, epoch, monkeypatch):
    save = torch.save

    def broken(content, target, *args, **kwargs):
        # Ours is the file on the disk; nnU-Net's own content goes through the memory first.
        if trainer.current_epoch == epoch and hasattr(target, "name"):
            target.write(b"PK half a checkpoint")
            raise Killed
        save(content, target, *args, **kwargs)

    monkeypatch.setattr(torch, "save", broken)


def final(trainer):
    return read_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))


def assert_equal(first, second, place=""):
    assert type(first) is type(second), place
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), place
    elif isinstance(first, dict):
        assert list(first) == list(second), place
        for key in first:
            assert_equal(first[key], second[key], f"{place}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), place
        for number, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(*pair, f"{place}/{number}")
    else:
        assert first == second or first != first, place


@pytest.mark.parametrize("cls", [PASegStage1Trainer, PASegStage2Trainer])
def test_a_killed_training_ends_as_one_that_was_not(start, cls, monkeypatch):
    undisturbed = start(cls, "undisturbed", seed=3)
    undisturbed.run_training()

    killed = start(cls, "killed", seed=3)
    kill_in_the_middle_of_epoch(killed, 2)
    with pytest.raises(Killed):
        killed.run_training()
    again = start(cls, "killed", seed=99, resumed=True)
    assert again.current_epoch == 2
    with monkeypatch.context() as patch:
        kill_while_saving_after_epoch(again, 2, patch)
        with pytest.raises(Killed):
            again.run_training()
    last = start(cls, "killed", seed=100, resumed=True, plots=True)
    assert last.current_epoch == 2
    last.run_training()

    expected, got = final(undisturbed), final(last)
    for checkpoint in (expected, got):
        assert checkpoint["current_epoch"] == EPOCHS
        for key in ("epoch_start_timestamps", "epoch_end_timestamps"):
            del checkpoint["logging"][key]
    assert_equal(expected, got)
    if cls is PASegStage2Trainer:
        first, second = (got["paseg"]["teacher_weights"], got["paseg"]["auxiliary_weights"])
        assert any(not torch.equal(first[1][key], second[key]) for key in second), "nothing was trained"
    assert not (Path(last.output_folder) / "checkpoint_latest.pth").exists()
    assert len(got["logging"]["paseg/mcrf" if cls is PASegStage1Trainer else "paseg/distillation"]) == EPOCHS
    assert (Path(last.output_folder) / "paseg_progress.png").exists()


@pytest.mark.parametrize("cls", [PASegStage1Trainer, PASegStage2Trainer])
def test_a_kill_after_the_first_epoch_loses_none(start, cls):
    """Long before the first of nnU-Net's periodic checkpoints."""
    trainer = start(cls, "results", seed=0)
    trainer.save_every = 50
    kill_in_the_middle_of_epoch(trainer, 2)
    with pytest.raises(Killed):
        trainer.run_training()
    assert trainer.save_every == 50
    assert (trainer.current_epoch, start(cls, "results", seed=0, resumed=True).current_epoch) == (2, 1)


def test_a_kill_in_the_first_epoch_starts_anew(start, capsys):
    """There is nothing to continue from: ``--c`` warns, and stage 2 starts from stage 1 again."""
    undisturbed = start(PASegStage2Trainer, "undisturbed", seed=0)
    undisturbed.num_epochs = 2
    undisturbed.run_training()
    trainer = start(PASegStage2Trainer, "results", seed=5)
    kill_in_the_middle_of_epoch(trainer, 0)
    with pytest.raises(Killed):
        trainer.run_training()
    capsys.readouterr()
    again = start(PASegStage2Trainer, "results", seed=0, resumed=True)
    again.num_epochs = 2
    again.run_training()
    output = capsys.readouterr().out
    assert "Starting a new training" in output
    assert output.count("Starting from") == 2
    assert_equal(final(undisturbed)["network_weights"], final(again)["network_weights"])


def test_a_new_training_does_not_continue_an_old_one(start):
    old = start(PASegStage1Trainer, "results", seed=0)
    old.initialize()
    old.save_checkpoint(f"{old.output_folder}/checkpoint_final.pth")
    new = start(PASegStage1Trainer, "results", seed=0)
    kill_in_the_middle_of_epoch(new, 0)
    with pytest.raises(Killed):
        new.run_training()
    assert start(PASegStage1Trainer, "results", seed=0, resumed=True).current_epoch == 0


def test_a_damaged_checkpoint_does_not_continue(start):
    trainer = start(PASegStage1Trainer, "results", seed=0)
    (Path(trainer.output_folder) / "checkpoint_latest.pth").write_bytes(b"PK")
    with pytest.raises(PasegError, match=r"checkpoint_latest\.pth cannot be read"):
        start(PASegStage1Trainer, "results", seed=0, resumed=True)


def test_stage_2_does_not_continue_a_checkpoint_of_stage_1(start):
    stage1 = start(PASegStage1Trainer, "results", seed=0)
    stage1.initialize()
    trainer = start(PASegStage2Trainer, "other", seed=0)
    stage1.save_checkpoint(f"{trainer.output_folder}/checkpoint_latest.pth")
    with pytest.raises(PasegError, match=r"is not a checkpoint of stage 2: delete it and start without --c"):
        start(PASegStage2Trainer, "other", seed=0, resumed=True)


def test_the_hyper_parameters_of_the_checkpoint_hold(start):
    trainer = start(PASegStage1Trainer, "results", seed=0)
    trainer.initialize()
    trainer.vm_weight = 0.625
    trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_latest.pth")
    assert start(PASegStage1Trainer, "results", seed=0, resumed=True).vm_weight == 0.625


def test_the_best_score_is_that_of_all_epochs(start):
    """nnU-Net writes checkpoint_latest before it notes a new best score."""
    trainer = start(PASegStage1Trainer, "results", seed=0)
    trainer.initialize()
    trainer._best_ema = 0.1
    trainer.logger.local_logger.my_fantastic_logging["ema_fg_dice"] = [0.1, 0.4, float("nan")]
    trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_latest.pth")
    assert start(PASegStage1Trainer, "results", seed=0, resumed=True)._best_ema == 0.4
