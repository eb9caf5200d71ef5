"""Checkpoints of an earlier revision: loaded, continued and predicted with by today's classes.

``before_the_move.zip`` was written by revision a0c0ca7: trainings of stage 1 and stage 2 on three phantoms of 16x16x16
voxels, stopped after the second of three epochs of two iterations. It also contains the log of the same trainings
without a stop, and the logits of the stopped networks for the validation case, at every other slice.
"""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.run.run_training import maybe_load_checkpoint
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from nnunet_paseg import EXT_FOLDER
from nnunet_paseg.trainers import PASegStage2Trainer, trainer_class
from nnunet_paseg.trainers.checkpoints.checkpointing import unwrap
from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint

DATASET, PLANS, VARIANT = "Dataset903_Before", "tinyPlans", "_3epochs_2iterations"
STAGES = ("PASegStage1Trainer", "PASegStage2Trainer")


@pytest.fixture
def before(tmp_path, monkeypatch):
    """The unpacked archive as nnU-Net's folders, on one thread as when it was written."""
    with zipfile.ZipFile(Path(__file__).with_name("before_the_move.zip")) as archive:
        archive.extractall(tmp_path)
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / f"nnUNet_{name}"))
    monkeypatch.setenv("nnUNet_extTrainer", str(EXT_FOLDER))
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def model(before, stage):
    return before / "nnUNet_results" / DATASET / f"{stage}{VARIANT}__{PLANS}__3d_fullres"


def make(before, cls):
    data = before / "nnUNet_preprocessed" / DATASET
    plans = json.loads((data / f"{PLANS}.json").read_text(encoding="utf-8"))
    dataset_json = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    trainer = cls({**plans, "continue_training": True}, "3d_fullres", 0, dataset_json, torch.device("cpu"))
    trainer.logger.plot_progress_png = trainer.draw_patches = lambda *_: None
    return trainer


@pytest.mark.parametrize("stage", STAGES)
def test_a_training_is_continued_as_it_would_have_gone_on(before, stage):
    trainer = make(before, trainer_class(stage + VARIANT))
    maybe_load_checkpoint(trainer, True, False)
    assert trainer.current_epoch == 2
    trainer.run_training()
    expected = json.loads((before / "logging.json").read_text(encoding="utf-8"))[stage]
    logged = trainer.logger.local_logger.my_fantastic_logging
    # Not bit for bit: other processors round in other ways.
    assert {key: [float(value) for value in logged[key]] for key in expected} == {
        key: pytest.approx(values, rel=1e-2) for key, values in expected.items()
    }


@pytest.mark.parametrize("stage", STAGES)
def test_predictions_are_those_of_the_revision_that_trained(before, stage):
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model(before, stage)), (0,), "checkpoint_latest.pth")
    assert predictor.trainer_name == stage + VARIANT
    folder = before / "nnUNet_preprocessed" / DATASET / "nnUNetPlans_3d_fullres"
    data = nnUNetDatasetBlosc2(str(folder), ["case_002"])
    predictor.network.load_state_dict(predictor.list_of_parameters[0])
    image = torch.from_numpy(np.array(data.load_case("case_002")[0][:]))
    logits = predictor.predict_sliding_window_return_logits(image).float().numpy()
    expected = np.load(before / "logits.npz")[stage].astype(np.float32)
    np.testing.assert_allclose(logits[:, ::2], expected, rtol=1e-2, atol=1e-2)


def test_stage_2_starts_from_stage_1(before):
    fold = model(before, STAGES[0]) / "fold_0"
    os.replace(fold / "checkpoint_latest.pth", fold / "checkpoint_final.pth")
    weights = read_checkpoint(str(fold / "checkpoint_final.pth"))["network_weights"]
    shutil.rmtree(model(before, STAGES[1]))
    trainer = make(before, trainer_class(STAGES[1] + VARIANT))
    trainer.initialize()
    trainer.map_folders, trainer.calibrate_volumes = (None, "maps"), False
    trainer.load_stage1()
    for name, tensor in unwrap(trainer.network).state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_a_checkpoint_with_a_moving_average_is_continued_from_the_average(before):
    """Of a revision that could keep one; its weights were the average, the trained ones stood beside them."""
    file = model(before, STAGES[1]) / "fold_0" / "checkpoint_latest.pth"
    checkpoint = read_checkpoint(str(file))
    averaged = checkpoint["network_weights"]
    checkpoint["paseg"]["hyper_parameters"]["ema_decay"] = 0.9
    checkpoint["paseg"]["averaged_steps"] = 2
    checkpoint["paseg"]["trained_weights"] = {name: tensor + 1 for name, tensor in averaged.items()}
    torch.save(checkpoint, file)
    trainer = make(before, PASegStage2Trainer)
    trainer.load_checkpoint(str(file))
    assert all(torch.equal(tensor, averaged[name]) for name, tensor in trainer.network.state_dict().items())
    assert "contains averaged weights" in Path(trainer.log_file).read_text(encoding="utf-8")
