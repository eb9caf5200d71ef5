import copy
import functools
from dataclasses import replace

import pytest
import torch

from nnunet_paseg.errors import PasegError
from nnunet_paseg.losses import distillation_loss
from nnunet_paseg.trainers import PASegStage1AuxTrainer, PASegStage1Trainer, PASegStage2Trainer, trainer_class
from nnunet_paseg.trainers.cross_teaching import pseudo_labels, soft_targets, teacher_predictions
from tests.trainers.test_stage1 import batch_of

IGNORE = 3


@pytest.fixture
def trainer(make_trainer):
    torch.manual_seed(0)
    trainer = make_trainer(PASegStage2Trainer)
    trainer.initialize()
    return trainer


def weights(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_two_students_of_two_families_and_a_teacher_of_each(trainer):
    kinds = [type(network).__name__ for network in (trainer.network, trainer.auxiliary["network"])]
    assert sorted(kinds) == ["PlainConvUNet", "ResidualEncoderUNet"]
    assert [type(teacher).__name__ for teacher in trainer.teachers] == kinds
    for teacher in trainer.teachers:
        assert not teacher.training
        assert not any(parameter.requires_grad for parameter in teacher.parameters())
        size = trainer.configuration_manager.patch_size
        assert teacher(torch.zeros(1, 1, *size)).shape == (1, 3, *size)


def test_pseudo_labels_keep_what_the_annotator_said():
    target = torch.tensor([0, 1, 2, 3, 3, 3], dtype=torch.int16).reshape(1, 1, 1, 1, 6)
    valid = torch.tensor([1, 1, 1, 1, 1, 0], dtype=torch.bool).reshape(1, 1, 1, 1, 6)
    decision = torch.tensor([1, 2, 0, 2, 1, 1], dtype=torch.int16).reshape(1, 1, 1, 1, 6)
    fine, coarse = pseudo_labels(decision, [target, target[..., ::2]], valid, IGNORE, keep_certain=True)
    assert fine.flatten().tolist() == [0, 1, 2, 2, 1, IGNORE]
    assert fine.dtype == target.dtype
    assert coarse.flatten().tolist() == [1, 2, IGNORE]
    (fine,) = pseudo_labels(decision, [target], valid, IGNORE, keep_certain=False)
    assert fine.flatten().tolist() == [1, 2, 0, 2, 1, IGNORE]


def test_a_lesson_is_the_mean_of_what_the_teachers_say_or_the_other_one_s_word():
    first, second = torch.tensor([1.0, 4.0]), torch.tensor([3.0, -2.0])
    assert [said.tolist() for said in soft_targets([first, second], soft=True)] == [[2.0, 1.0], [2.0, 1.0]]
    assert [said.tolist() for said in soft_targets([None, second], soft=True)] == [[3.0, -2.0], [3.0, -2.0]]
    assert soft_targets([None, None], soft=True) == [None, None]
    primary, auxiliary = soft_targets([first, second], soft=False)
    assert primary is second
    assert auxiliary is first
    assert soft_targets([first, None], soft=False)[0] is None


def test_teachers_and_the_label_maps_that_stand_in_for_them(trainer):
    image = torch.randn(2, 1, *trainer.configuration_manager.patch_size)
    labels = torch.randint(0, 4, (2, 3, *image.shape[2:]), dtype=torch.int16)
    with torch.no_grad():
        first, second = (teacher(image) for teacher in trainer.teachers)
        for folders, channels in (
            ((None, None), (None, None)),
            (("maps", "maps"), (1, 1)),
            (("maps", "others"), (1, 2)),
            ((None, "maps"), (None, 1)),
        ):
            logits, decisions = teacher_predictions(trainer.teachers, image, labels, folders)
            for found, decided, said, channel in zip(logits, decisions, (first, second), channels, strict=True):
                assert (found is None) == (channel is not None)
                expected = said.argmax(1, keepdim=True) if channel is None else labels[:, channel : channel + 1]
                assert torch.equal(decided, expected.to(labels.dtype))
                assert found is None or torch.equal(found, said)


def test_the_loss_mixes_supervision_and_distillation(trainer):
    trainer.distillation_weight, trainer.temperature = 0.3, 2.0
    step = trainer.prepare_batch(batch_of(trainer))
    outputs = [torch.randn(2, 3, *target.shape[2:]) for target in step.targets]
    teacher = torch.randn(outputs[0].shape)
    supervised = trainer.loss(outputs, step.targets)
    step = replace(step, teacher_logits=teacher)
    expected = 0.7 * supervised + 0.3 * distillation_loss(outputs[0], teacher, temperature=2.0, mask=step.mask)
    torch.testing.assert_close(trainer.loss(outputs, step), expected)


def test_a_step_trains_both_students_and_no_teacher(trainer):
    students = [trainer.network, trainer.auxiliary["network"]]
    before = [weights(network) for network in (*students, *trainer.teachers)]
    result = trainer.train_step(batch_of(trainer))
    after = [weights(network) for network in (*students, *trainer.teachers)]
    assert [same(b, a) for b, a in zip(before, after, strict=True)] == [False, False, True, True]
    assert students == [trainer.network, trainer.auxiliary["network"]]
    assert set(result) == {
        "loss", "supervised", "distillation", "supervised (auxiliary)", "distillation (auxiliary)", "teacher agreement",
    }  # fmt: skip
    assert 0 <= result["teacher agreement"] <= 1


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_what_each_student_learns_from(trainer, monkeypatch, kind):
    trainer.pseudo_labels = kind
    batch = batch_of(trainer)
    step = trainer.prepare_batch(copy.deepcopy(batch))
    image, targets, mask = step.image, step.targets, step.mask
    with torch.no_grad(), trainer.autocast():
        said = [teacher(image) for teacher in trainer.teachers]
    seen = []
    forward = type(trainer.loss).forward

    def spy(loss, output, target):
        seen.append((target.teacher_logits, target.targets))
        return forward(loss, output, target)

    monkeypatch.setattr(type(trainer.loss), "forward", spy)
    trainer.train_step(batch)
    for (logits, labels), own, other in zip(seen, said, said[::-1], strict=True):
        if kind == "soft":
            torch.testing.assert_close(logits, (own + other) / 2)
            expected = targets
        else:
            torch.testing.assert_close(logits, other)
            decided = own.argmax(1, keepdim=True).to(labels[0].dtype)
            expected = pseudo_labels(decided, targets, mask, IGNORE, keep_certain=True)
        assert all(torch.equal(found, wanted) for found, wanted in zip(labels, expected, strict=True))


def test_teachers_are_renewed_at_every_interval(trainer):
    trainer.num_epochs, trainer.refresh_interval = 10, 0.2
    trainer.lr_scheduler.step = trainer.auxiliary_scheduler.step = lambda epoch: None
    trainer.logger.log = lambda *_: None
    renewed = []
    trainer.refresh_teachers = lambda: renewed.append(trainer.current_epoch)
    for trainer.current_epoch in range(10):
        trainer.on_train_epoch_start()
    assert renewed == [2, 4, 6, 8]


def test_a_checkpoint_brings_everything_back(make_trainer, trainer, tmp_path):
    trainer.train_step(batch_of(trainer))
    trainer.current_epoch = 3
    file = str(tmp_path / "checkpoint.pth")
    trainer.save_checkpoint(file)
    other = make_trainer(PASegStage2Trainer)
    other.load_checkpoint(file)
    assert other.current_epoch == 4
    for name in ("network", "optimizer"):
        assert type(getattr(other, name)) is type(getattr(trainer, name))
    for pair in zip(
        (other.network, other.auxiliary["network"], *other.teachers),
        (trainer.network, trainer.auxiliary["network"], *trainer.teachers),
        strict=True,
    ):
        assert same(*(weights(network) for network in pair))
    other.train_step(batch_of(other, seed=1))
    trainer.train_step(batch_of(trainer, seed=1))
    assert same(weights(other.network), weights(trainer.network)), "momentum was lost"
    assert same(weights(other.auxiliary["network"]), weights(trainer.auxiliary["network"])), "momentum was lost"


def test_missing_stage_1_names_the_command(make_trainer):
    trainer = make_trainer(trainer_class("PASegStage2Trainer_7epochs"), fold=0)
    command = "nnUNetv2_train Dataset902_Tiny 3d_fullres 0 -tr PASegStage1Trainer_7epochs -p tinyPlans -device cpu"
    with pytest.raises(PasegError, match=command) as raised:
        trainer.on_train_start()
    folders = [f"PASegStage1Trainer{variant}__tinyPlans__3d_fullres" for variant in ("_7epochs", "")]
    assert all(f"{folder}/fold_0/checkpoint_final.pth" in str(raised.value) for folder in folders)


def test_a_subclass_with_a_name_of_its_own_starts_from_the_plain_stage_1(make_trainer):
    trainer = make_trainer(type("MyStage2", (PASegStage2Trainer,), {}), fold=0)
    with pytest.raises(PasegError, match=r"fold_0/checkpoint_final\.pth is missing\.") as raised:
        trainer.on_train_start()
    assert "-tr PASegStage1Trainer -p" in str(raised.value)
    assert "MyStage2" not in str(raised.value)


def test_stage_2_starts_from_both_checkpoints(make_trainer):
    starts = {}
    for cls in (PASegStage1Trainer, PASegStage1AuxTrainer):
        stage1 = make_trainer(cls, fold=4)
        stage1.initialize()
        stage1.save_checkpoint(f"{stage1.output_folder}/checkpoint_final.pth")
        starts[cls] = weights(stage1.network)
    trainer = make_trainer(trainer_class("PASegStage2Trainer_7epochs"), fold=4)
    trainer.initialize()
    trainer.calibrate_volumes = False
    trainer.load_stage1()
    assert same(weights(trainer.network), starts[PASegStage1Trainer])
    assert same(weights(trainer.auxiliary["network"]), starts[PASegStage1AuxTrainer])
    assert same(weights(trainer.teachers[0]), starts[PASegStage1Trainer])


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch.compile itself
def test_compiled_students_and_teachers(make_trainer, monkeypatch, tmp_path):
    """As on a GPU, where nnU-Net compiles; weights keep the names they have without torch.compile."""
    plain = make_trainer(PASegStage2Trainer)
    plain.initialize()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    monkeypatch.setattr(PASegStage2Trainer, "_do_i_compile", lambda _: True)
    trainer = make_trainer(PASegStage2Trainer)
    trainer.initialize()
    networks = [trainer.network, trainer.auxiliary["network"], *trainer.teachers]
    assert all(isinstance(network, torch._dynamo.OptimizedModule) for network in networks)
    trainer.train_step(batch_of(trainer))
    trainer.calibrate_volumes = False
    trainer.refresh_teachers()
    assert same(weights(trainer.network), weights(trainer.teachers[0]))
    assert not trainer.teachers[0].training
    file = str(tmp_path / "checkpoint.pth")
    trainer.save_checkpoint(file)
    plain.load_checkpoint(file)
    for ours, theirs in zip([plain.network, plain.auxiliary["network"], *plain.teachers], networks, strict=True):
        assert same(weights(ours), weights(theirs))
