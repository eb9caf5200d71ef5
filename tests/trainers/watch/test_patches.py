import numpy as np
import pytest
import torch
from matplotlib import image as matplotlib_image

from nnunet_paseg.trainers import PASegStage1Trainer, PASegStage2Trainer
from nnunet_paseg.trainers.checkpoints.resume import random_state
from nnunet_paseg.trainers.watch.patches import _slice, draw_patches
from tests.trainers.test_killed_training import assert_equal
from tests.trainers.test_stage1 import batch_of

NAMES = {"background": 0, "tumour": 1, "vessel": 2, "ignore": 3}


def batch(shape, patches=2):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(patches, 1, *shape)).astype(np.float32)
    labels = rng.integers(0, 4, (patches, *shape))
    probabilities = rng.dirichlet((1, 1, 1), (patches, *shape)).astype(np.float32)
    return image, labels, np.moveaxis(probabilities, -1, 1)


@pytest.mark.parametrize(("shape", "spacing"), [((6, 16, 20), (3.0, 1.0, 1.0)), ((16, 20), (1.0, 1.0))])
def test_a_picture(tmp_path, shape, spacing):
    draw_patches(*batch(shape, patches=6), tmp_path / "patches.png", names=NAMES, spacing_mm=spacing, title="Epoch 3")
    assert [path.name for path in tmp_path.iterdir()] == ["patches.png"]
    picture = matplotlib_image.imread(tmp_path / "patches.png")[..., :3]
    assert picture.shape[1] == 960
    assert picture.std() > 0.1


def test_other_labels_make_another_picture(tmp_path):
    image, labels, probabilities = batch((4, 16, 16))
    for name, shown in (("a", labels), ("b", labels), ("c", np.full_like(labels, 3))):
        draw_patches(image, shown, probabilities, tmp_path / f"{name}.png", names=NAMES, spacing_mm=(1, 1, 1))
    a, b, c = (matplotlib_image.imread(tmp_path / f"{name}.png") for name in "abc")
    assert np.array_equal(a, b)
    assert a.shape == c.shape
    assert not np.array_equal(a, c)


def test_the_slice_with_the_most_seeds():
    labels = np.full((5, 4, 4), 3)
    probabilities = np.zeros((2, 5, 4, 4))
    probabilities[0] = 1
    probabilities[:, 4] = 0.5
    assert _slice(labels, probabilities, 3) == (4,), "without a seed, where the network sees the most"
    labels[1, 0, 0], labels[2, :2] = 1, 2
    assert _slice(labels, probabilities, 3) == (2,)
    assert _slice(labels[0], probabilities[:, 0], 3) == (slice(None), slice(None))


@pytest.mark.parametrize("cls", [PASegStage1Trainer, PASegStage2Trainer])
def test_drawing_leaves_the_random_numbers_alone(make_trainer, cls, monkeypatch, tmp_path):
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    trainer = make_trainer(cls)
    trainer.output_folder = str(tmp_path)
    trainer.initialize()
    trainer.draw_patches("nothing was seen")
    assert not (tmp_path / "paseg_patches.png").exists()
    trainer.train_step(batch_of(trainer))
    weights = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    before = random_state(torch.device("cpu"))
    trainer.draw_patches("after a step")
    assert (tmp_path / "paseg_patches.png").exists()
    assert_equal(before, random_state(torch.device("cpu")))
    assert_equal(weights, dict(trainer.network.state_dict()))


def test_a_plot_that_fails_does_not_end_a_training(make_trainer, monkeypatch, tmp_path):
    trainer = make_trainer(PASegStage1Trainer)
    trainer.log_file = str(tmp_path / "log.txt")

    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("nnunet_paseg.trainers.watch.progress.plot_terms", fail)
    monkeypatch.setattr("nnunetv2.training.nnUNetTrainer.nnUNetTrainer.nnUNetTrainer.on_epoch_end", lambda _: None)
    trainer.on_epoch_end()
    assert "Cannot plot (OSError: No space left on device)" in (tmp_path / "log.txt").read_text(encoding="utf-8")


def test_pictures_now_and_then(make_trainer, monkeypatch, tmp_path):
    trainer = make_trainer(PASegStage1Trainer)
    trainer.output_folder, trainer.num_epochs = str(tmp_path), 30
    drawn = []
    trainer.draw_patches = drawn.append
    monkeypatch.setattr("nnunet_paseg.trainers.watch.progress.plot_terms", lambda *_: None)
    monkeypatch.setattr("nnunetv2.training.nnUNetTrainer.nnUNetTrainer.nnUNetTrainer.on_epoch_end", lambda _: None)
    for trainer.current_epoch in range(30):
        trainer.on_epoch_end()
    assert drawn == [f"after epoch {epoch}" for epoch in (*range(0, 30, 3), 29)]
