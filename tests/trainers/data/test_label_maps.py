import gzip
import shutil
from pathlib import Path

import blosc2
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.run.run_training import maybe_load_checkpoint

from nnunet_paseg.conversion.convert import convert
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_array
from nnunet_paseg.trainers import PASegStage1AuxTrainer, PASegStage1Trainer, PASegStage2Trainer, calibration
from nnunet_paseg.trainers.data.label_maps import _is_same_grid, find_folders, on_preprocessed_grid, prepare
from nnunet_paseg.trainers.step import Step
from nnunet_paseg.trainers.watch import progress
from tests.trainers.checkpoints.test_resume import Killed
from tests.trainers.conftest import DATASET
from tests.trainers.test_killed_training import kill_in_the_middle_of_epoch

IGNORE = 3


@pytest.fixture
def raw(make_trainer, workspace, tmp_path, monkeypatch):
    """An empty raw dataset of the tiny dataset's name, and results of its own."""
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    monkeypatch.setattr(progress, "plot_terms", lambda *_: None)
    monkeypatch.setattr(calibration, "MAX_CASES", 2)
    folder = tmp_path / "raw" / DATASET
    folder.mkdir(parents=True)
    yield folder
    for made in (workspace.preprocessed / DATASET).glob("*_pseudoLabelsTr*"):
        shutil.rmtree(made)


@pytest.fixture
def masks(workspace, raw):
    """Dense masks of all training cases, as some other tool might have made them."""
    shutil.copytree(workspace.folder / "dense" / "labelsTr", raw / "pseudoLabelsTr")
    return raw / "pseudoLabelsTr"


def change(file, function):
    image = sitk.ReadImage(str(file))
    changed = sitk.GetImageFromArray(function(sitk.GetArrayFromImage(image)))
    changed.CopyInformation(image)
    sitk.WriteImage(changed, str(file))


def datasets(trainer):
    trainer.initialize()
    trainer.map_folders = find_folders(trainer.plans_manager.dataset_name)
    return trainer.get_tr_and_val_datasets()[0]


def test_which_network_takes_which_folder(raw):
    assert find_folders(DATASET) == (None, None)
    (raw / "pseudoLabelsTr_aux").mkdir()
    assert find_folders(DATASET) == (None, "pseudoLabelsTr_aux")
    (raw / "pseudoLabelsTr").mkdir()
    assert find_folders(DATASET) == ("pseudoLabelsTr", "pseudoLabelsTr_aux")
    (raw / "pseudoLabelsTr_primary").mkdir()
    (raw / "pseudoLabelsTr_aux").rmdir()
    assert find_folders(DATASET) == ("pseudoLabelsTr_primary", "pseudoLabelsTr")


def test_no_raw_folder_at_all(monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    assert find_folders(DATASET) == (None, None)


@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 0, 2)])
@pytest.mark.parametrize("configuration", ["3d_fullres", "2d"])
def test_the_same_grid_as_nnunets_preprocessing(make_trainer, tmp_path, transpose, configuration):
    """Other voxel size than the plans', an empty margin that is cropped, and axes in another order."""
    rng = np.random.default_rng(0)
    image = np.zeros((14, 30, 26), dtype=np.float32)
    image[2:12, 3:29, 4:24] = rng.uniform(1, 9, (10, 26, 20))
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[4:9, 8:20, 8:18], labels[6:9, 12:18, 10:14] = 1, 2
    files = [tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz"]
    for array, file in zip((image, labels), files, strict=True):
        written = sitk.GetImageFromArray(array)
        written.SetSpacing((1.3, 0.8, 2.6))
        written.SetOrigin((5, -7, 11))
        sitk.WriteImage(written, str(file))
    trainer = make_trainer(PASegStage2Trainer, configuration=configuration)
    trainer.plans_manager.plans["transpose_forward"] = list(transpose)
    _, expected, properties = DefaultPreprocessor(verbose=False).run_case(
        [str(files[0])], str(files[1]), trainer.plans_manager, trainer.configuration_manager, trainer.dataset_json
    )
    found = on_preprocessed_grid(trainer, files[1], properties, expected.shape[1:])
    assert expected.shape[1:] != labels.shape
    assert set(np.unique(found)) == {0, 1, 2}
    # nnU-Net marks the background outside the image as -1.
    assert (found == np.maximum(expected, 0)).all()


def test_label_maps_lie_beside_the_labels(make_trainer, masks, raw):
    shutil.copytree(masks, raw / "pseudoLabelsTr_aux")
    for file in (raw / "pseudoLabelsTr_aux").iterdir():
        change(file, lambda labels: np.where(labels == 2, IGNORE, labels))
    training = datasets(make_trainer(PASegStage2Trainer, fold=0))
    identifier = training.identifiers[0]
    _, labels, _, properties = training.load_case(identifier)
    everything = labels[:, :, :, :]
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(masks / f"{identifier}.nii.gz")))
    truth = truth[tuple(slice(*limits) for limits in properties["bbox_used_for_cropping"])]
    assert everything.shape == labels.shape == (3, *truth.shape)
    assert IGNORE in everything[0]
    assert (everything[1] == truth).all()
    assert (everything[2] == np.where(truth == 2, IGNORE, truth)).all()


def test_masks_of_the_conversion_are_label_maps(make_trainer, workspace, raw, monkeypatch):
    """What `--pseudo-labels` writes, read as stage 2 reads it. This stand-in for the network finds the bright half."""

    def probability(image, instance, expander):
        inside = image[0][instance.box]
        return np.where(inside > np.median(inside), 0.95, 0.02).astype(np.float32)

    monkeypatch.setattr("nnunet_paseg.seeds.rules.target_probability", probability)
    dense = workspace.folder / "dense"
    cases = [
        Case(name, (dense / "imagesTr" / f"{name}_0000.nii.gz",), mask=mask, annotation="simulated")
        for mask in sorted((dense / "labelsTr").glob("*.nii.gz"))
        if (name := mask.name.removesuffix(".nii.gz"))
    ]
    plan = DatasetPlan(DATASET, ("MRI",), ("lesion_1", "lesion_2"), pseudo_labels=True, keep_probabilities=True)
    folder = convert(cases, plan, raw.parent, num_processes=1, overwrite=True)
    assert find_folders(DATASET) == ("pseudoLabelsTr", "pseudoLabelsTr")
    training = datasets(make_trainer(PASegStage2Trainer, fold=0))
    found = set()
    for identifier in training.identifiers:
        _, labels, _, properties = training.load_case(identifier)
        masks = read_array(folder / "pseudoLabelsTr" / f"{identifier}.nii.gz")
        masks = masks[tuple(slice(*limits) for limits in properties["bbox_used_for_cropping"])]
        assert (labels[:, :, :, :][1] == masks).all()
        found |= set(np.unique(masks))
        p = read_array(folder / "probabilitiesTr" / f"{identifier}_0001.nii.gz")
        assert (p[read_array(folder / "pseudoLabelsTr" / f"{identifier}.nii.gz") == 1] == 242).all()
    assert found == {0, 1, 2}, "no voxel is unlabelled"


def test_label_maps_are_made_again_only_when_they_changed(make_trainer, masks, monkeypatch):
    trainer = make_trainer(PASegStage2Trainer, fold=0)
    training = datasets(trainer)
    monkeypatch.setattr("nnunet_paseg.trainers.data.label_maps.on_preprocessed_grid", None)
    prepare(trainer, ["pseudoLabelsTr"], training)
    monkeypatch.undo()
    monkeypatch.setenv("nnUNet_raw", str(masks.parents[1]))
    identifier = training.identifiers[0]
    change(masks / f"{identifier}.nii.gz", lambda labels: labels * 0)
    (folder,) = prepare(trainer, ["pseudoLabelsTr"], training)
    assert blosc2.open(str(folder / f"{identifier}.b2nd"))[:].max() == 0
    assert sorted(path.suffix for path in folder.iterdir()) == [".b2nd"] * len(training.identifiers)


def test_a_missing_label_map(make_trainer, masks):
    trainer = make_trainer(PASegStage2Trainer, fold=0)
    (masks / f"{sorted(datasets(trainer).identifiers)[2]}.nii.gz").unlink()
    with pytest.raises(PasegError, match=r"pseudoLabelsTr/\w+\.nii\.gz is missing: add a label map for every"):
        trainer.get_tr_and_val_datasets()


def spoil(kind, file):
    image = sitk.ReadImage(str(file))
    if kind == "shape":
        image = image[:-1, :, :]
    elif kind == "spacing":
        image.SetSpacing((1, 1, 2.5))
    elif kind == "origin":
        image.SetOrigin((3, 0, 0))
    elif kind == "value":
        image[1, 2, 3] = 7
    sitk.WriteImage(image, str(file))
    if kind == "damaged":
        file.write_bytes(file.read_bytes()[:50])
    if kind == "truncated":
        file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:-2000]))
    if kind == "not a number":
        sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32) + float("nan"), str(file))
    if kind == "two volumes":
        sitk.WriteImage(sitk.JoinSeries([image, image]), str(file))


@pytest.mark.filterwarnings("ignore")  # of the readers themselves
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("shape", r"is not on the grid of its image: \(16, 32, 31\) voxels.*has \(16, 32, 32\) voxels.*Resample it"),
        ("spacing", r"is not on the grid of its image: .*2\.5.*Resample it to the image"),
        ("origin", r"is not on the grid of its image: .*3\.0.*Resample it to the image"),
        ("value", r"contains 7, which is no label of Dataset902_Tiny: change the values to those in .*'lesion_2': 2"),
        ("damaged", r"pseudoLabelsTr/\w+\.nii\.gz "),
        ("truncated", r"pseudoLabelsTr/\w+\.nii\.gz .*truncated"),
        ("not a number", r"pseudoLabelsTr/\w+\.nii\.gz .*NaN"),
        ("two volumes", "Expected a 3D image, got 4 dimensions"),
    ],
)
def test_a_label_map_that_cannot_be_used(make_trainer, masks, kind, message):
    trainer = make_trainer(PASegStage2Trainer, fold=0)
    trainer.initialize()
    trainer.map_folders = find_folders(DATASET)
    for file in masks.iterdir():
        spoil(kind, file)
    with pytest.raises(PasegError, match=message):
        trainer.get_tr_and_val_datasets()


@settings(max_examples=40)
@given(
    st.floats(-3, 1).map(lambda exponent: 10**exponent),
    st.lists(st.floats(-1000, 1000), min_size=3, max_size=3),
    st.integers(0, 2),
    st.sampled_from([(0.0, True), (0.02, True), (0.5, False), (1.0, False)]),
)
def test_grids_are_compared_in_voxels(spacing, corner, axis, shift):
    """From micrometres to centimetres, near and far from the origin; the origin in single precision, as in NIfTI."""
    voxels, same = shift
    size = [40, 30, 20]
    origin = np.array(corner) * spacing
    moved = origin.copy()
    moved[axis] += voxels * spacing

    def properties(start):
        stuff = {"spacing": [spacing] * 3, "origin": start.tolist(), "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1]}
        return {"sitk_stuff": stuff, "spacing": [spacing] * 3}

    assert _is_same_grid(properties(moved.astype(np.float32)), properties(origin), size) == same
    wider = properties(origin)
    wider["sitk_stuff"]["spacing"] = [spacing, spacing, 1.05 * spacing]
    assert not _is_same_grid(wider, properties(origin), size)


def spy_on_losses(trainer):
    """Epoch, pseudo labels and whether there was a distillation: primary, auxiliary, primary, and so on."""
    seen = []
    forward = trainer.loss.forward

    def spied(output, target):
        if isinstance(target, Step):
            seen.append((trainer.current_epoch, target.labels.clone(), target.teacher_logits is not None))
        return forward(output, target)

    trainer.loss.forward = spied
    return seen


def start(make_trainer, *, resumed=False):
    trainer = make_trainer(PASegStage2Trainer, fold=0)
    trainer.num_epochs, trainer.refresh_interval, trainer.save_every = 4, 0.5, 1
    trainer.logger.plot_progress_png = trainer.draw_patches = lambda *_: None
    maybe_load_checkpoint(trainer, resumed, False)
    return trainer


def test_a_training_from_label_maps_alone(make_trainer, masks):
    """Without any stage 1; killed and continued in the middle."""
    trainer = start(make_trainer)
    trainer.initialize()
    trainer.keep_certain = False
    seen = spy_on_losses(trainer)
    batches = []
    prepare = trainer.prepare_batch
    trainer.prepare_batch = lambda batch: batches.append(prepare(batch)) or batches[-1]
    kill_in_the_middle_of_epoch(trainer, 1)
    with pytest.raises(Killed):
        trainer.run_training()
    step, (_, labels, distilled) = batches[0], seen[0]
    assert step.labels.shape[1] == 2
    assert torch.equal(labels[step.mask], step.labels[:, 1:][step.mask])
    assert {1, 2} & set(labels.unique().tolist())
    assert not distilled
    trainer = start(make_trainer, resumed=True)
    assert trainer.map_folders == ("pseudoLabelsTr", "pseudoLabelsTr")
    seen = spy_on_losses(trainer)
    trainer.run_training()
    assert {(epoch, distilled) for epoch, _, distilled in seen} == {(1, False), (2, True), (3, True)}
    logged = trainer.logger.local_logger.my_fantastic_logging
    assert np.isnan(logged["paseg/distillation"]).tolist() == [True, True, False, False]
    assert (Path(trainer.output_folder) / "checkpoint_final.pth").exists()


def test_one_network_from_label_maps_and_one_from_stage_1(make_trainer, masks):
    masks.rename(masks.with_name("pseudoLabelsTr_aux"))
    with pytest.raises(
        PasegError, match=r"start from other label maps: .* nnUNet_raw/Dataset902_Tiny/pseudoLabelsTr\."
    ):
        start(make_trainer).on_train_start()
    stage1 = make_trainer(PASegStage1Trainer, fold=0)
    stage1.initialize()
    stage1.save_checkpoint(f"{stage1.output_folder}/checkpoint_final.pth")
    trainer = start(make_trainer)
    trainer.on_train_start()
    weights = zip(trainer.network.parameters(), stage1.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    seen = spy_on_losses(trainer)
    trainer.on_train_epoch_start()
    result = trainer.train_step(next(trainer.dataloader_train))
    assert [distilled for *_, distilled in seen] == [True, True], "the teacher that there is teaches both"
    assert {"distillation", "distillation (auxiliary)"} < set(result)
    seen.clear()
    trainer.pseudo_labels = "hard"
    result = trainer.train_step(next(trainer.dataloader_train))
    assert [distilled for *_, distilled in seen] == [False, True], "label maps have no soft labels to give"
    assert {"supervised", "supervised (auxiliary)", "distillation (auxiliary)"} < set(result)
    assert "distillation" not in result
    trainer.dataloader_train = trainer.dataloader_val = None


def test_stage_1_takes_no_notice_of_them(make_trainer, masks):
    trainer = make_trainer(PASegStage1AuxTrainer, fold=0)
    trainer.initialize()
    training, _ = trainer.get_tr_and_val_datasets()
    assert training.load_case(training.identifiers[0])[1].shape[0] == 1
