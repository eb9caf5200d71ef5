import blosc2
import numpy as np
import pytest
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.nnunet_masking import MaskImageTransform
from batchgeneratorsv2.transforms.utils.remove_label import RemoveLabelTransform

from nnunet_paseg.trainers import PASegStage1Trainer, PASegStage2Trainer
from nnunet_paseg.trainers.cross_teaching import pseudo_labels
from nnunet_paseg.trainers.data.padding import OUTSIDE, MaskedDataset, MaskedLabels, resolve_padding, set_padding_labels

IGNORE = 3


@pytest.mark.parametrize("stored", [np.asarray, blosc2.asarray])
def test_stored_air_and_added_padding_are_told_apart(stored):
    """Cropped as nnU-Net's loader crops."""
    labels = np.array([-1, 0, 1, 3, -1, 2], dtype=np.int8).reshape(1, 1, 1, 6)
    lazy = MaskedLabels(stored(labels))
    assert lazy.shape == (1, 1, 1, 6)
    assert lazy.dtype == np.int8
    part = crop_and_pad_nd(lazy, [[0, 1], [0, 2], [-1, 5]], -1, cast_cropped_to=np.int16)
    assert part[0, 0].tolist() == [[-1, OUTSIDE, 0, 1, 3, OUTSIDE], [-1] * 6]
    assert labels.min() == -1, "the stored labels were changed"


def test_a_dataset_passes_the_rest_on():
    class Dataset:
        identifiers = ("a",)

        def load_case(self, identifier):
            return identifier, np.full((1, 2), -1), None, {"spacing": 1}

    dataset = MaskedDataset(Dataset())
    image, labels, previous, properties = dataset["a"]
    assert (dataset.identifiers, image, previous, properties) == (("a",), "a", None, {"spacing": 1})
    assert (labels[:] == OUTSIDE).all()


def test_marks_and_what_they_mean_to_the_loss():
    transforms = set_padding_labels(
        ComposeTransforms([RemoveLabelTransform(-1, 0)]), padding=IGNORE + 1, outside=IGNORE + 2
    )
    labels = torch.tensor([[-1, OUTSIDE, 0, 1, 2, 3]], dtype=torch.int16)
    marked = transforms(segmentation=labels.clone())["segmentation"]
    assert marked.tolist() == [[4, 5, 0, 1, 2, 3]]
    target = resolve_padding(marked, IGNORE)
    assert target.tolist() == [[3, 0, 0, 1, 2, 3]]
    assert target.dtype == torch.int16


def test_masking_still_sees_air():
    transforms = set_padding_labels(
        ComposeTransforms([MaskImageTransform([0]), RemoveLabelTransform(-1, 0)]),
        padding=IGNORE + 1,
        outside=IGNORE + 2,
    )
    labels = torch.tensor([[-1, OUTSIDE, 0, 1]], dtype=torch.int16)
    assert transforms(image=torch.ones(1, 4), segmentation=labels)["image"].tolist() == [[0, 0, 1, 1]]


def test_another_nnunet_is_noticed():
    with pytest.raises(RuntimeError, match="must be adapted"):
        set_padding_labels(ComposeTransforms([]), padding=4, outside=0)


def round_body(rng, channels=1):
    """An image of 12x32x32 (the patch has 16 slices), a cylinder in exact zeros, with two seeds in a box."""
    y, x = np.mgrid[:32, :32]
    body = np.broadcast_to((y - 15.5) ** 2 + (x - 15.5) ** 2 < 16**2, (12, 32, 32))
    image = np.where(body, rng.uniform(50, 150, (channels, 12, 32, 32)), 0).astype(np.float32)
    labels = np.zeros((12, 32, 32), dtype=np.int8)
    labels[3:9, 8:24, 8:24] = IGNORE
    labels[5:7, 14:18, 10:13], labels[5:7, 14:18, 19:22] = 1, 2
    return image, labels, body


@pytest.mark.parametrize("cls", [PASegStage1Trainer, PASegStage2Trainer])
@pytest.mark.parametrize("masked", [False, True])
def test_air_teaches_background_and_padding_nothing(make_trainer, preprocess, cls, masked):
    image, labels, body = round_body(np.random.default_rng(0))
    trainer = make_trainer(cls, plans=preprocess({"case": (image, labels)}, use_mask_for_norm=[masked]))
    trainer.initialize()
    training, validation = trainer.get_dataloaders()

    # The image with two slices of padding at both ends, without augmentation.
    validation.data_loader.get_bbox = lambda *_: ([-2, 0, 0], [14, 32, 32])
    target = next(validation)["target"][0]
    expected = np.full((16, 32, 32), IGNORE)
    expected[2:14] = labels
    assert (target.numpy() == expected).all()

    torch.manual_seed(0)
    np.random.seed(0)
    batch = next(training)
    marks = batch["target"][0]
    assert set(marks.unique().tolist()) == {0, 1, 2, IGNORE, IGNORE + 1, IGNORE + 2}
    assert marks[marks == IGNORE + 2].numel() > 0.5 * 2 * (~body).sum()
    assert bool((batch["data"][marks == IGNORE + 2] == 0).all()) == masked
    prepared = trainer.prepare_batch(batch)
    targets, mask = prepared.targets, prepared.mask
    assert (targets[0][marks == IGNORE + 2] == 0).all()
    assert (targets[0][marks == IGNORE + 1] == IGNORE).all()
    assert torch.equal(mask, marks <= IGNORE)
    if cls is PASegStage2Trainer:
        lesion = torch.ones_like(targets[0])
        for keep_certain in (True, False):
            decided = pseudo_labels(lesion, targets, mask, IGNORE, keep_certain=keep_certain)[0]
            assert (decided[marks == IGNORE + 2] == 0).all()
            assert (decided[marks == IGNORE + 1] == IGNORE).all()
            assert (decided[marks == IGNORE] == 1).all()
    assert np.isfinite(trainer.train_step(batch)["loss"])
