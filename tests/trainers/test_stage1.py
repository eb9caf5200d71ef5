import math
from dataclasses import replace

import pytest
import torch

from nnunet_paseg.errors import PasegError
from nnunet_paseg.losses import gated_crf_loss, variance_loss
from nnunet_paseg.trainers import PASegStage1AuxTrainer, PASegStage1Trainer
from nnunet_paseg.trainers.stage1 import average_pool, unsupervised_weight
from nnunet_paseg.trainers.window import Window, published_window, window_of_targets

IGNORE = 3


@pytest.fixture
def trainer(make_trainer):
    trainer = make_trainer(PASegStage1Trainer)
    trainer.initialize()
    return trainer


def batch_of(trainer, seed=0):
    """A batch as nnU-Net's loader gives it: padding is ignore + 1 and 0 in the image."""
    generator = torch.Generator().manual_seed(seed)
    size = trainer.configuration_manager.patch_size
    image = torch.randn(2, 1, *size, generator=generator)
    target = torch.randint(0, 4, (2, 1, *size), generator=generator, dtype=torch.int16)
    image[..., :3], target[..., :3] = 0, 4
    scales = trainer._get_deep_supervision_scales()
    targets = [
        torch.nn.functional.interpolate(
            target.float(), [round(n * s) for n, s in zip(size, scale, strict=True)], mode="nearest-exact"
        ).to(torch.int16)
        for scale in scales
    ]
    return {"data": image, "target": targets}


def test_ramp(trainer):
    trainer.num_epochs, trainer.ramp_fraction = 100, 0.1
    values = {}
    for epoch in (0, 5, 9, 10, 99):
        trainer.current_epoch = epoch
        values[epoch] = trainer.ramp()
    assert values[0] == pytest.approx(math.exp(-5))
    assert values[5] == pytest.approx(math.exp(-5 * 0.25))
    assert values[9] == pytest.approx(math.exp(-5 * 0.01))
    assert values[10] == values[99] == 1


def test_no_ramp_at_all(trainer):
    trainer.ramp_fraction = 0
    assert trainer.ramp() == 1


def test_the_loss_is_the_weighted_sum_of_its_terms(trainer):
    batch = batch_of(trainer)
    trainer.mcrf_weight, trainer.vm_weight, trainer.ramp_fraction = 3.0, 7.0, 0
    step = trainer.prepare_batch(batch)
    image, targets, mask = step.image, step.targets, step.mask
    assert not mask[..., :3].any()
    assert mask[..., 3:].all()
    assert (targets[0][..., :3] == trainer.label_manager.ignore_label).all()
    torch.manual_seed(0)
    outputs = [torch.randn(2, 3, *target.shape[2:]) for target in targets]
    partial = trainer.loss(outputs, targets)
    probabilities = outputs[0].softmax(1)
    factors = trainer.mcrf_pooling
    crf = gated_crf_loss(
        average_pool(probabilities, factors),
        average_pool(image, factors),
        radius=trainer.mcrf_radius,
        sigma_space=trainer.mcrf_sigma_space,
        sigma_intensity=trainer.mcrf_sigma_intensity,
        mask=average_pool(mask.float(), factors) == 1,
        normalisation=trainer.mcrf_normalisation,
    )
    vm = variance_loss(probabilities, image, mask=mask, normalisation=trainer.vm_normalisation)
    torch.testing.assert_close(trainer.loss(outputs, step), partial + 3 * crf + 7 * vm)
    assert step.values() == pytest.approx(
        {"partial": partial.item(), "mcrf": crf.item(), "vm": vm.item(), "strength": 1}
    )


@pytest.mark.parametrize(
    ("open_voxels", "seeds", "full_at", "expected"),
    [
        (40, 2, 20.0, 1),
        (40, 4, 20.0, 0.5),
        (8, 4, 20.0, 0.1),
        (8, 4, 0.0, 1),
        (5, 0, 20.0, 1),
        (0, 4, 20.0, 0),
        (0, 4, 0.0, 1),
    ],
)
def test_the_unsupervised_terms_follow_what_the_seeds_leave_open(open_voxels, seeds, full_at, expected):
    labels, mask = torch.zeros(2, 1, 8, 8, 8), torch.ones(2, 1, 8, 8, 8, dtype=torch.bool)
    order = torch.randperm(labels.numel(), generator=torch.Generator().manual_seed(0))
    labels.view(-1)[order[:open_voxels]] = IGNORE
    labels.view(-1)[order[open_voxels : open_voxels + seeds]] = torch.arange(seeds) % 2 + 1.0
    padding = order[-100:]
    labels.view(-1)[padding], mask.view(-1)[padding] = IGNORE, False
    found = unsupervised_weight(labels, mask, ignore_label=IGNORE, full_strength_at=full_at)
    assert found.item() == pytest.approx(expected)


def gradient_of(trainer, step):
    """Gradient of the loss with respect to random logits of the full-resolution output."""
    generator = torch.Generator().manual_seed(0)
    outputs = [torch.randn(2, 3, *target.shape[2:], generator=generator) for target in step.targets]
    outputs[0].requires_grad_()
    return torch.autograd.grad(trainer.loss(outputs, step), outputs[0])[0]


def test_a_dense_batch_trains_as_in_nnunet(trainer):
    """Without an unlabelled voxel the gradient is that of nnU-Net's loss alone, whatever the weights."""
    trainer.mcrf_weight, trainer.ramp_fraction = 9.0, 0
    step = trainer.prepare_batch(batch_of(trainer))
    step = replace(step, targets=[target.clamp(max=2) for target in step.targets])
    found = gradient_of(trainer, step)
    trainer.mcrf_weight = trainer.vm_weight = 0.0
    torch.testing.assert_close(
        found, gradient_of(trainer, replace(step, weights=trainer.prepare_batch(batch_of(trainer)).weights))
    )


@pytest.mark.parametrize("voxels", ["unlabelled", "all"])
def test_the_unsupervised_terms_act_on_unlabelled_voxels(trainer, voxels):
    trainer.ramp_fraction, trainer.unsupervised_voxels = 0, voxels
    step = trainer.prepare_batch(batch_of(trainer))
    with_terms = gradient_of(trainer, step)
    without = gradient_of(trainer, replace(step, weights={**step.weights, "mcrf_weight": 0.0, "vm_weight": 0.0}))
    changed = ((with_terms - without).abs() > 1e-9).any(1, keepdim=True)
    unlabelled = step.mask & (step.labels == IGNORE)
    assert changed[unlabelled].float().mean() > 0.9
    assert changed[step.mask & ~unlabelled].any() == (voxels == "all")


@pytest.mark.parametrize("open_voxels", [1, 40])
def test_the_gradient_per_unlabelled_voxel_does_not_depend_on_their_number(trainer, open_voxels):
    """A batch with a single unlabelled voxel has no larger gradient there than one with many."""
    trainer.ramp_fraction, trainer.vm_weight = 0, 0.0
    step = trainer.prepare_batch(batch_of(trainer))
    weights = {**step.weights, "mcrf_weight": 0.0}
    labels = torch.zeros_like(step.targets[0])
    found = []
    for count in (open_voxels, 400):
        each = labels.clone()
        each[0, 0].view(-1)[1000 : 1000 + 7 * count : 7] = IGNORE
        each = replace(step, targets=[each, *step.targets[1:]], mask=torch.ones_like(step.mask))
        crf = gradient_of(trainer, each) - gradient_of(trainer, replace(each, weights=weights))
        found.append(crf[0].flatten(1)[:, 1000])
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-9)


def test_padding_teaches_nothing(trainer):
    """What the network says in the padding changes neither the loss nor its gradient."""
    step = trainer.prepare_batch(batch_of(trainer))
    targets = step.targets
    output = torch.randn(2, 3, *targets[0].shape[2:], requires_grad=True)
    changed = output.detach().clone()
    changed[..., :2] += 5  # an even number: pooled pairs of voxels lie inside or at the border of the padding
    changed.requires_grad_()
    values = []
    for prediction in (output, changed):
        outputs = [prediction] + [torch.zeros(2, 3, *target.shape[2:]) for target in targets[1:]]
        value = trainer.loss(outputs, step)
        value.backward()
        values.append(value.detach())
    torch.testing.assert_close(*values)
    assert output.grad[..., :2].abs().max() == 0
    assert output.grad[..., 4:].abs().max() > 0


def test_a_step_changes_the_network_and_reports_the_terms(trainer):
    before = [parameter.detach().clone() for parameter in trainer.network.parameters()]
    result = trainer.train_step(batch_of(trainer))
    assert set(result) == {"loss", "partial", "mcrf", "vm", "strength"}
    expected = result["partial"] + result["strength"] * (
        trainer.mcrf_weight * result["mcrf"] + trainer.vm_weight * result["vm"]
    )
    assert result["loss"] == pytest.approx(expected, rel=1e-4)
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.network.parameters(), strict=True))


def test_padding_is_marked_in_training_and_ignored_in_validation(trainer):
    for name, padding in (("get_training_transforms", 4), ("get_validation_transforms", 3)):
        options = {"deep_supervision_scales": None, "foreground_labels": [1, 2], "ignore_label": 3}
        if padding == 4:
            size = trainer.configuration_manager.patch_size
            options |= {"patch_size": size, "rotation_for_DA": 0.0, "mirror_axes": (), "do_dummy_2d_data_aug": False}
        transforms = getattr(trainer, name)(**options)
        segmentation = torch.full((1, *trainer.configuration_manager.patch_size), -1, dtype=torch.int16)
        image = torch.zeros(segmentation.shape)
        assert (transforms(image=image, segmentation=segmentation)["segmentation"] == padding).all()


def test_the_auxiliary_network_is_of_the_other_family(make_trainer, trainer):
    auxiliary = make_trainer(PASegStage1AuxTrainer)
    auxiliary.initialize()
    assert {type(trainer.network).__name__, type(auxiliary.network).__name__} == {
        "PlainConvUNet",
        "ResidualEncoderUNet",
    }


def test_a_dataset_without_ignore_label_is_refused(make_trainer):
    trainer = make_trainer(PASegStage1Trainer, labels={"background": 0, "lesion_1": 1, "lesion_2": 2})
    with pytest.raises(PasegError, match=r"Dataset902_Tiny has no 'ignore' label.*: convert the dataset"):
        trainer.initialize()


def test_regions_are_refused(make_trainer):
    labels = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    trainer = make_trainer(PASegStage1Trainer, labels=labels, regions_class_order=[1, 2])
    with pytest.raises(NotImplementedError, match="needs plain labels, not regions"):
        trainer.initialize()


def window_in_use(trainer):
    return tuple(trainer.hyper_parameters()[f"mcrf_{name}"] for name in Window._fields)


def test_the_window_follows_the_targets_or_what_is_set(make_trainer):
    extents = {"lesion_1": [40.0, 80.0, 20.0], "lesion_2": [60.0, 70.0, 30.0]}
    trainer = make_trainer(PASegStage1Trainer, target_extents_mm=extents)
    trainer.initialize()
    expected = window_of_targets([40.0, 70.0, 20.0], trainer.configuration_manager.spacing, trainer.first_pooling())
    assert window_in_use(trainer) == expected
    own = make_trainer(PASegStage1Trainer, target_extents_mm=extents)
    own.mcrf_radius = 3
    own.initialize()
    assert window_in_use(own) == expected._replace(radius=3)


def test_a_dataset_without_extents_keeps_the_published_window(make_trainer):
    trainer = make_trainer(PASegStage1Trainer)
    del trainer.dataset_json["target_extents_mm"]
    trainer.initialize()
    assert window_in_use(trainer) == published_window(trainer.first_pooling())


def test_the_checkpoint_holds_the_hyper_parameters(trainer, tmp_path):
    trainer.mcrf_weight = 0.25
    trainer.save_checkpoint(str(tmp_path / "checkpoint.pth"))
    checkpoint = torch.load(tmp_path / "checkpoint.pth", weights_only=False)
    assert checkpoint["paseg"]["hyper_parameters"] == trainer.hyper_parameters()
    assert checkpoint["paseg"]["hyper_parameters"]["mcrf_weight"] == 0.25
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pth"]
