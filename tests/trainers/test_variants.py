import math
import os
import re
import textwrap
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

from nnunet_paseg.cli import EXT_FOLDER
from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers import PASegStage1AuxTrainer, PASegStage1Trainer, PASegStage2Trainer, trainer_class
from nnunet_paseg.trainers.checkpoints.from_stage1 import stage1_checkpoint, stage1_command
from nnunet_paseg.trainers.names import parse
from nnunet_paseg.trainers.variants import PAPER
from nnunet_paseg.trainers.window import published_window
from tests.trainers.conftest import DATASET, PLANS


@pytest.mark.parametrize("trainer", [PASegStage1Trainer, PASegStage1AuxTrainer, PASegStage2Trainer])
def test_a_plain_name_is_the_class_itself(trainer):
    assert trainer_class(trainer.__name__) is trainer


def test_epochs_and_iterations(make_trainer):
    cls = trainer_class("PASegStage1Trainer_7epochs_11iterations")
    assert cls.__name__ == "PASegStage1Trainer_7epochs_11iterations"
    trainer = cls(*_arguments(make_trainer))
    assert (trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch) == (7, 11, 2)
    assert trainer.output_folder.endswith("PASegStage1Trainer_7epochs_11iterations__tinyPlans__3d_fullres/fold_all")


def test_the_published_figures(make_trainer):
    trainer = trainer_class("PASegStage1Trainer_paper_5epochs")(*_arguments(make_trainer))
    assert (
        trainer.hyper_parameters().items()
        >= {key: PAPER[key] for key in trainer.hyper_parameters().keys() & PAPER.keys()}.items()
    )
    assert (trainer.mcrf_normalisation, trainer.ramp_fraction, trainer.num_epochs) == ("voxels", 0.1, 5)
    assert not hasattr(trainer, "keep_certain")
    trainer.initialize()
    published = published_window((1, 2, 2))
    assert {f"mcrf_{name}": value for name, value in published._asdict().items()}.items() <= (
        trainer.hyper_parameters().items()
    )
    assert not trainer.network.decoder.deep_supervision
    stage2 = trainer_class("PASegStage2Trainer_paper")(*_arguments(make_trainer))
    assert not stage2.keep_certain
    assert stage2.pseudo_labels == "hard"


@pytest.mark.parametrize("stage", ["PASegStage1Trainer", "PASegStage1AuxTrainer", "PASegStage2Trainer"])
def test_the_published_augmentation_leaves_intensities_as_they_are(make_trainer, stage):
    transforms = trainer_class(f"{stage}_paper").get_training_transforms(
        (8, 16, 16), (-0.5, 0.5), None, (0, 1, 2), False, foreground_labels=[1, 2], ignore_label=3
    )
    image = torch.rand(1, 8, 16, 16)
    labels = (image > 0.5).to(torch.int16)
    for _ in range(5):
        out = transforms(image=image.clone(), segmentation=labels.clone())
        torch.testing.assert_close(out["image"].flatten().sort().values, image.flatten().sort().values)
        assert torch.equal(out["segmentation"], (out["image"] > 0.5).to(torch.int16))


def test_the_published_ramp_counts_the_epochs_of_the_paper(make_trainer):
    for epochs, length in ((300, 30), (500, 50)):
        trainer = trainer_class(f"PASegStage1Trainer_paper_{epochs}epochs")(*_arguments(make_trainer))
        trainer.current_epoch = length - 1
        assert trainer.ramp() == pytest.approx(math.exp(-5 / length**2))
        trainer.current_epoch = length
        assert trainer.ramp() == 1


def test_stock_nnunet_with_as_many_iterations(make_trainer):
    cls = trainer_class("nnUNetTrainer_2epochs_3iterations")
    assert cls.__mro__[1] is nnUNetTrainer
    assert cls(*_arguments(make_trainer)).num_iterations_per_epoch == 3


@pytest.mark.parametrize("trainer", ["nnUNetTrainer", "PASegStage1Trainer_paper", "PASegStage2Trainer"])
def test_without_mirroring(make_trainer, trainer):
    made = trainer_class(f"{trainer}_nomirroring_2epochs")(*_arguments(make_trainer))
    mirrored = trainer_class(f"{trainer}_2epochs")(*_arguments(make_trainer))
    *others, axes = made.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    *as_many, all_axes = mirrored.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert (axes, made.inference_allowed_mirroring_axes) == (None, None)
    assert (all_axes, mirrored.inference_allowed_mirroring_axes) == ((0, 1, 2), (0, 1, 2))
    assert str(others) == str(as_many)
    assert made.num_epochs == 2


def test_stage2_without_mirroring_starts_from_stage1_without(make_trainer):
    stage2 = trainer_class("PASegStage2Trainer_nomirroring")(*_arguments(make_trainer))
    assert "-tr PASegStage1Trainer_nomirroring " in stage1_command(stage2, "PASegStage1Trainer")


SUFFIXES = st.fixed_dictionaries(
    {},
    optional={
        "paper": st.just("_paper"),
        "nomirroring": st.just("_nomirroring"),
        "epochs": st.integers(1, 10**8).map("_{}epochs".format),
        "iterations": st.integers(1, 10**8).map("_{}iterations".format),
    },
).map(lambda suffixes: list(suffixes.values()))


@settings(max_examples=30)
@given(SUFFIXES, st.randoms(use_true_random=False))
def test_suffixes_in_any_order_mean_the_same(suffixes, random):
    for plain in ("PASegStage1Trainer", "PASegStage1AuxTrainer", "PASegStage2Trainer"):
        typed = random.sample(suffixes, len(suffixes))
        name = plain + "".join(typed)
        assert trainer_class(name).__name__ == name
        meaning = parse(name)
        assert meaning == parse(plain + "".join(suffixes))
        assert (meaning.trainer, meaning.paper, meaning.nomirroring) == (
            plain,
            "_paper" in suffixes,
            "_nomirroring" in suffixes,
        )
        for number, suffix in ((meaning.epochs, "epochs"), (meaning.iterations, "iterations")):
            assert ([] if number is None else [f"_{number}{suffix}"]) == [part for part in suffixes if suffix in part]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("PASegStage1Trainer_0epochs", "PASegStage1Trainer_0epochs has 0 epochs: use at least 1"),
        ("PASegStage2Trainer_5epochs_00iterations", "has 0 iterations: use at least 1"),
        ("PASegStage1Trainer_5epochs_paper_6epochs", "has two suffixes for epochs: keep one"),
        ("PASegStage1Trainer_paper_paper", "has two suffixes for paper"),
        ("nnUNetTrainer_2epochs_paper", "_paper, which nnUNetTrainer does not have"),
        ("PASegStage1Trainer_prior", "_prior, which PASegStage1Trainer always has: omit it"),
    ],
)
def test_names_that_cannot_be_meant(name, message, monkeypatch):
    with pytest.raises(PasegError, match=message):
        trainer_class(name)
    # In nnU-Net's commands it is a line, not a traceback.
    monkeypatch.setenv("nnUNet_extTrainer", str(EXT_FOLDER))
    with pytest.raises(SystemExit, match=rf"error: .*{message}"):
        recursive_find_trainer_class_by_name(name)


def test_suffixes_in_another_order_in_the_trainer(make_trainer):
    trainer = trainer_class("PASegStage1Trainer_11iterations_paper_7epochs")(*_arguments(make_trainer))
    assert (trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch) == (7, 11, 2)
    assert trainer.mcrf_normalisation == "voxels"
    assert "PASegStage1Trainer_11iterations_paper_7epochs__tinyPlans" in trainer.output_folder


def test_stage_2_finds_its_stage_1_by_meaning(make_trainer, monkeypatch, tmp_path):
    stage2 = trainer_class("PASegStage2Trainer_2iterations_1epochs")(*_arguments(make_trainer))
    monkeypatch.setenv("nnUNet_results", str(tmp_path))

    def checkpoint(name):
        fold = tmp_path / DATASET / f"{name}__{PLANS}__3d_fullres" / "fold_all"
        fold.mkdir(parents=True)
        (fold / "checkpoint_final.pth").touch()
        return str(fold / "checkpoint_final.pth")

    with pytest.raises(PasegError, match=r"PASegStage1Trainer_2iterations_1epochs__.* is missing"):
        stage1_checkpoint(stage2, "PASegStage1Trainer")
    plain = checkpoint("PASegStage1Trainer")
    for name in ("_2iterations_3epochs", "_1epochs", "_2iterations_1epochs_paper", "_0epochs", "_flair"):
        checkpoint(f"PASegStage1Trainer{name}")
    checkpoint("PASegStage1AuxTrainer_2iterations_1epochs")
    assert stage1_checkpoint(stage2, "PASegStage1Trainer") == plain
    same = checkpoint("PASegStage1Trainer_1epochs_2iterations")
    assert stage1_checkpoint(stage2, "PASegStage1Trainer") == same
    typed = checkpoint("PASegStage1Trainer_2iterations_1epochs")
    assert stage1_checkpoint(stage2, "PASegStage1Trainer") == typed


@pytest.mark.parametrize("name", ["PASegStage3Trainer", "PASegStage1Trainer_fast", "PASegStage1Trainer_epochs", ""])
def test_unknown_names(name):
    with pytest.raises(AttributeError, match="There is no trainer"):
        trainer_class(name)


@pytest.mark.parametrize("name", ["PASegStage1Trainer", "PASegStage2Trainer_3epochs"])
def test_nnunet_finds_them_where_the_command_says(name, monkeypatch):
    monkeypatch.setenv("nnUNet_extTrainer", str(EXT_FOLDER))
    assert recursive_find_trainer_class_by_name(name).__name__ == name


def test_the_subclasses_of_the_page(tmp_path, monkeypatch, make_trainer):
    page = (Path(__file__).parents[2] / "docs" / "trainers.md").read_text(encoding="utf-8")
    [code] = re.findall(r"    # my_trainers/flair\.py\n((?:    .*\n|\n)+)", page)
    (tmp_path / "flair.py").write_text(textwrap.dedent(code), encoding="utf-8")
    monkeypatch.setenv("nnUNet_extTrainer", os.pathsep.join([str(EXT_FOLDER), str(tmp_path)]))
    names = [f"{trainer.__name__}_flair" for trainer in (PASegStage1Trainer, PASegStage1AuxTrainer)]
    stage1, auxiliary = (recursive_find_trainer_class_by_name(name) for name in names)
    assert (stage1.mcrf_channels, auxiliary.mcrf_channels, PASegStage1Trainer.mcrf_channels) == ((0,), (0,), None)
    stage2 = recursive_find_trainer_class_by_name("PASegStage2Trainer_flair")(*_arguments(make_trainer))
    assert f"-tr {names[1]} " in stage1_command(stage2, "PASegStage1AuxTrainer")
    stage1(*_arguments(make_trainer)).initialize()


def _arguments(make_trainer):
    made = make_trainer(PASegStage1Trainer).my_init_kwargs
    return [{**made["plans"], "continue_training": False}, *list(made.values())[1:]]
