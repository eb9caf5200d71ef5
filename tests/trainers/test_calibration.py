from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_paseg.trainers import PASegStage1Trainer, PASegStage2Trainer, calibration
from nnunet_paseg.trainers.calibration import (
    MAX_BIAS,
    BorderlineVoxels,
    borderline_voxels,
    calibrate,
    logit_bias,
    predict,
)
from nnunet_paseg.trainers.checkpoints.checkpointing import unwrap
from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint


def random_cases(seed, count=3, classes=3, voxels=4000, weight=1.0, missing=(500.0, 300.0)):
    generator = np.random.default_rng(seed)
    return [
        BorderlineVoxels(generator.normal(size=(classes, voxels)).astype(np.float32), weight, np.array(missing))
        for _ in range(count)
    ]


def won(case, found):
    """BorderlineVoxels volume that every foreground class gets."""
    decided = (case.logits + np.array([0.0, *found])[:, None]).argmax(0)
    return [case.voxel_mm3 * (decided == label).sum() for label in range(1, len(case.logits))]


def test_by_hand():
    # Three voxels are missing, and by itself the class wins one.
    logits = np.array([[0, 0, 0, 0, 0], [1, -0.5, -1, -2, -3]], dtype=np.float32)
    [found] = logit_bias([BorderlineVoxels(logits, 1.0, np.array([3.0]))])
    assert 1.0 <= found < 2.0
    # Voxels of twice the size: one of them is enough.
    [found] = logit_bias([BorderlineVoxels(logits, 2.0, np.array([2.0]))])
    assert -1.0 <= found < 0.5


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([(500, 300), (900, 100), (50, 2000)]), st.sampled_from([1.0, 2.5]))
def test_every_class_gets_its_number(seed, missing, weight):
    [case] = random_cases(seed, count=1, weight=weight, missing=missing)
    assert won(case, logit_bias([case])) == pytest.approx(missing, rel=0.01, abs=2 * weight)


def test_the_median_case_counts():
    cases = random_cases(0, count=5)
    usual = logit_bias(cases)
    far_off = [case._replace(remaining_mm3=np.array([1500.0, 900.0])) for case in cases[:2]]
    # Two that are three times as large as the rest move the figure no farther than to another one of the rest.
    assert logit_bias([*far_off, *cases[2:]]) == pytest.approx(usual, abs=0.1)
    # All together would want nearly twice as much.
    assert logit_bias([cases[0]._replace(remaining_mm3=np.array([900.0, 540.0]))])[0] > usual[0] + 0.4


def test_cases_without_a_target_say_nothing():
    cases = random_cases(0, count=2)
    without = random_cases(1, count=3, missing=(np.nan, 300.0))
    assert logit_bias([*cases, *without])[0] == pytest.approx(logit_bias(cases)[0], abs=0.1)
    assert logit_bias(without)[0] == 0.0
    logits = torch.from_numpy(cases[0].logits).reshape(3, 10, 20, 20)
    found = borderline_voxels(logits, (10, 20, 20), 4000.0, np.array([0.0, 300.0]))
    assert np.isnan(found.remaining_mm3[0])
    assert found.remaining_mm3[1] <= 300


def test_no_shift_is_endless():
    assert logit_bias(random_cases(0, missing=(10**6, 300)))[0] == MAX_BIAS
    sure = [case._replace(logits=10 * case.logits) for case in random_cases(0, missing=(1, 300))]
    assert logit_bias(sure)[0] == -MAX_BIAS


@pytest.fixture
def trainer(make_trainer):
    torch.manual_seed(0)
    trainer = make_trainer(PASegStage1Trainer)
    trainer.initialize()
    return trainer


def training_dataset(trainer):
    return trainer.dataset_class(trainer.preprocessed_dataset_folder, trainer.do_split()[0])


def test_the_network_itself_is_calibrated(trainer):
    network, dataset = unwrap(trainer.network), training_dataset(trainer)
    with torch.no_grad():  # a new network's logits may differ by more than the largest shift
        network.decoder.seg_layers[-1].weight *= 0.2
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = calibrate(network, trainer, dataset)
    assert all(abs(shift) > 0 for shift in found)
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.split(".", 1)[1] for name in changed} == {f"seg_layers.{len(network.decoder.seg_layers) - 1}.bias"}
    # What it decides now has the wanted size; another calibration has nothing left to do.
    cases = predict(network, trainer, dataset)
    ratios = [np.array(won(case, [0, 0])) / case.remaining_mm3 for case in cases]
    # nnU-Net's logits come in half precision.
    assert np.median(ratios, axis=0) == pytest.approx(1, rel=0.05)
    assert calibrate(network, trainer, dataset) == pytest.approx([0, 0], abs=0.02)


def test_cases_that_are_predicted(trainer, monkeypatch):
    network, dataset = unwrap(trainer.network), training_dataset(trainer)
    trainer.set_deep_supervision_enabled(True)
    everything = predict(network, trainer, dataset)
    assert network.decoder.deep_supervision
    assert len(everything) == len(dataset.identifiers)
    likely = [list(trainer.dataset_json["likely_volume_mm3"][name].values()) for name in dataset.identifiers]
    for case, volumes, name in zip(everything, likely, dataset.identifiers, strict=True):
        # A new network decides nothing: every voxel is undecided, and every class misses all that it should have.
        assert case.voxel_mm3 == pytest.approx(2)
        assert case.logits.shape == (3, dataset.load_case(name)[0][0].size)
        assert case.remaining_mm3.tolist() == volumes
    monkeypatch.setattr(calibration, "MAX_CASES", 3)
    assert [case.remaining_mm3.tolist() for case in predict(network, trainer, dataset)] == likely[::3]
    del trainer.dataset_json["likely_volume_mm3"][dataset.identifiers[0]]
    assert [case.remaining_mm3.tolist() for case in predict(network, trainer, dataset)] == likely[1::3]


def test_cases_without_a_target_take_no_place_of_the_others(trainer, monkeypatch):
    network, dataset = unwrap(trainer.network), training_dataset(trainer)
    volumes = trainer.dataset_json["likely_volume_mm3"]
    *without, a, b = dataset.identifiers
    volumes |= {name: dict.fromkeys(volumes[name], 0.0) for name in without}
    monkeypatch.setattr(calibration, "MAX_CASES", 2)
    found = [case.remaining_mm3.tolist() for case in predict(network, trainer, dataset)]
    assert found == [list(volumes[name].values()) for name in (a, b)]
    volumes |= {name: dict.fromkeys(volumes[name], 0.0) for name in (a, b)}
    assert calibrate(network, trainer, dataset) == []


def ball(size, radius):
    """Logits of two classes of a ball in a cube of edge 1 at ``size`` voxels, steep at its surface."""
    line = (np.arange(size) + 0.5) / size - 0.5
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"))
    inside = torch.from_numpy(100 * (radius - np.sqrt((grid**2).sum(0)))).float()
    return torch.stack([torch.zeros_like(inside), inside])


def test_volumes_are_those_at_the_voxels_of_the_image():
    volume = 4 / 3 * np.pi * 0.3**3 * 1000
    for size in (24, 48):
        case = borderline_voxels(ball(size, 0.3), (48, 48, 48), 1000.0, np.array([volume]))
        assert case.voxel_mm3 == pytest.approx(1000 / 48**3)
        # Its own decision is right, so that next to nothing is to be shifted.
        assert won(case, [0]) == pytest.approx(case.remaining_mm3, abs=0.02 * volume)
        assert 0 < case.remaining_mm3[0] < volume
        assert logit_bias([case]) == pytest.approx([0], abs=0.7)
    # A target that is larger by a tenth of its radius.
    case = borderline_voxels(ball(48, 0.3), (48, 48, 48), 1000.0, np.array([4 / 3 * np.pi * 0.33**3 * 1000]))
    assert logit_bias([case]) == pytest.approx([3], abs=0.3)


@pytest.mark.parametrize(("name", "value"), [("MAX_VOXELS", 500), ("MAX_LOGITS", 10_000)])
def test_some_voxels_stand_for_all(monkeypatch, name, value):
    volume = np.array([4 / 3 * np.pi * 0.33**3 * 1000])
    whole = borderline_voxels(ball(48, 0.3), (48, 48, 48), 1000.0, volume)
    monkeypatch.setattr(calibration, name, value)
    some = borderline_voxels(ball(48, 0.3), (48, 48, 48), 1000.0, volume)
    assert some.logits.shape[1] < whole.logits.shape[1] / 4
    assert some.voxel_mm3 * some.logits.shape[1] == pytest.approx(whole.voxel_mm3 * whole.logits.shape[1], rel=0.1)
    assert logit_bias([some]) == pytest.approx(logit_bias([whole]), abs=0.5)


def test_where_nothing_is_within_reach():
    logits = torch.stack([torch.full((4, 4, 4), 9.0), torch.zeros(4, 4, 4)])
    case = borderline_voxels(logits, (4, 4, 4), 64.0, np.array([5.0]))
    assert case.logits.shape == (2, 0)
    assert logit_bias([case]) == [0.0]


def test_the_final_checkpoint_is_calibrated(trainer, tmp_path):
    trainer.output_folder = str(tmp_path)
    trainer.current_epoch = trainer.num_epochs
    bias = unwrap(trainer.network).decoder.seg_layers[-1].bias.detach().clone()
    trainer.dataloader_train = trainer.dataloader_val = None
    trainer.on_train_end()
    stored = read_checkpoint(str(tmp_path / "checkpoint_final.pth"))["network_weights"]
    last = f"decoder.seg_layers.{len(unwrap(trainer.network).decoder.seg_layers) - 1}.bias"
    assert stored[last][0] == bias[0]
    assert (stored[last][1:] != bias[1:]).all()
    assert "The network is calibrated to the estimated volumes, class-wise logit bias: {'lesion_1': " in log_of(trainer)


def test_a_finished_training_that_is_continued_is_not_calibrated_again(trainer, tmp_path, monkeypatch):
    trainer.output_folder = str(tmp_path)
    trainer.current_epoch = trainer.num_epochs
    trainer.dataloader_train = trainer.dataloader_val = None
    trainer.on_train_end()
    calls = []
    monkeypatch.setattr(trainer, "calibrate", lambda network, name: calls.append(name))
    trainer.is_calibrated = False
    trainer.load_checkpoint(str(tmp_path / "checkpoint_final.pth"))
    trainer.on_train_end()
    assert not calls
    trainer.load_checkpoint(str(tmp_path / "checkpoint_final.pth"))
    assert trainer.is_calibrated
    # Another epoch moves the decisions again.
    trainer.current_epoch = 0
    monkeypatch.setattr(nnUNetTrainer, "on_epoch_end", lambda _: None)
    trainer.on_epoch_end()
    assert not trainer.is_calibrated


def test_both_networks_of_stage_2_are_calibrated_in_the_end(make_trainer, monkeypatch):
    trainer = make_trainer(PASegStage2Trainer)
    trainer.initialize()
    calibrated = []
    monkeypatch.setattr(trainer, "calibrate", lambda network, name: calibrated.append(network))
    trainer.calibrate_all()
    assert calibrated == [unwrap(trainer.network), unwrap(trainer.auxiliary["network"])]


def log_of(trainer):
    return Path(trainer.log_file).read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", ["switched off", "unknown seeds"])
def test_nothing_is_shifted(trainer, reason):
    if reason == "switched off":
        trainer.calibrate_volumes = False
    else:
        trainer.dataset_json["likely_volume_mm3"] = {}
    network = unwrap(trainer.network)
    before = network.decoder.seg_layers[-1].bias.detach().clone()
    trainer.calibrate(network, "The network")
    assert torch.equal(network.decoder.seg_layers[-1].bias, before)
    assert ("the dataset has no estimated volumes" in log_of(trainer)) == (reason == "unknown seeds")


def test_teachers_are_calibrated_and_students_are_not(make_trainer):
    torch.manual_seed(0)
    trainer = make_trainer(PASegStage2Trainer)
    trainer.initialize()
    trainer.refresh_teachers()
    for teacher, student in zip(trainer.teachers, (trainer.network, trainer.auxiliary["network"]), strict=True):
        theirs, own = (unwrap(network).decoder.seg_layers[-1] for network in (teacher, student))
        assert torch.equal(theirs.weight, own.weight)
        assert theirs.bias[0] == own.bias[0]
        assert (theirs.bias[1:] != own.bias[1:]).all()
        assert not theirs.bias.requires_grad


def test_label_maps_stand_in_for_a_teacher_that_knows_nothing_yet(make_trainer):
    trainer = make_trainer(PASegStage2Trainer)
    trainer.initialize()
    trainer.map_folders = ("maps", None)
    trainer.refresh_teachers()
    moved = [
        not torch.equal(unwrap(teacher).decoder.seg_layers[-1].bias, unwrap(student).decoder.seg_layers[-1].bias)
        for teacher, student in zip(trainer.teachers, (trainer.network, trainer.auxiliary["network"]), strict=True)
    ]
    assert moved == [False, True]
