"""The probabilities of both sources: those of nnU-Net's own command, and those that a conversion keeps."""

import numpy as np
import pytest

from nnunet_paseg.completion.dataset import ClickedDataset
from nnunet_paseg.completion.expansion_source import expand_targets
from nnunet_paseg.completion.folder import CompletionFolder, read_facts, read_source
from nnunet_paseg.completion.network_source import predict_targets
from nnunet_paseg.completion.networks import Networks
from nnunet_paseg.completion.targets import read_targets, start_of, window_around
from nnunet_paseg.io.images import read_array
from nnunet_paseg.io.writing import write_bytes_image
from nnunet_paseg.points.windows import shifted
from nnunet_paseg.seeds.learned.predict import target_probability
from nnunet_paseg.seeds.learned.weights import load_expander
from tests.trainers.conftest import DATASET, PLANS


@pytest.fixture
def folder(tmp_path):
    folder = CompletionFolder(tmp_path / "masks", {"paseg_complete": {}})
    folder.open(overwrite=False)
    return folder


def model_folder(model, trainer):
    return model.results / DATASET / f"{trainer}__{PLANS}__3d_fullres"


def test_the_network_source_is_nnunet_s_own_prediction(nnunet, model, folder, tmp_path):
    dataset = ClickedDataset.open(DATASET, needs_splits=True)
    case = dataset.cases(["1"])[0]
    stage1 = model_folder(model, "PASegStage1Trainer")
    predicted = predict_targets([case], folder, dataset.labels, stage1, device="cpu", num_processes=1)
    assert [problem for _, problem in predicted] == [None]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / case.images[0].name).symlink_to(case.images[0])
    words = ["-d", "902", "-c", "3d_fullres", "-f", "1", "-tr", "PASegStage1Trainer", "-p", PLANS, "-device", "cpu"]
    model.run(
        *("nnUNetv2_predict", "-i", tmp_path / "in", "-o", tmp_path / "out", *words),
        *("--save_probabilities", "-npp", 1, "-nps", 1),
    )
    whole = np.load(tmp_path / "out" / f"{case.identifier}.npz")["probabilities"]
    grid, _, targets = read_targets(case, dataset.labels)
    arrays = read_source(folder.source(case.identifier, "network"))
    assert len(arrays) == len(targets) == 2
    for target, array in zip(targets, arrays, strict=True):
        expected = whole[target.label][window_around(target, grid.shape)] * 255
        assert np.abs(array - expected).max() <= 0.51


def test_both_students_of_stage_2_and_all_folds_are_averaged(nnunet, model):
    """The softmax of mean logits is the normalised geometric mean: no image is resampled here."""
    networks = Networks(model_folder(model, "PASegStage2Trainer"), ["0", "1"], "cpu", 1)
    case = ClickedDataset.open(DATASET, needs_splits=False).cases(["all"])[0]
    ((_, data, properties),) = networks.preprocessed([case.images])
    together = networks.probabilities(data, properties)
    single = []
    for predictor in networks.predictors:
        for weights in predictor.list_of_parameters:
            one = Networks.__new__(Networks)
            one.__dict__ = {**networks.__dict__, "predictors": [predictor]}
            every, predictor.list_of_parameters = predictor.list_of_parameters, [weights]
            single.append(one.probabilities(data, properties).astype(np.float64))
            predictor.list_of_parameters = every
    assert len(single) == 4
    assert np.abs(single[0] - single[2]).max() > 0.01, "two different students"
    product = np.exp(np.mean(np.log(single), axis=0))
    assert together == pytest.approx(product / product.sum(axis=0), abs=2e-3)


def test_the_expansion_source_is_the_expansion_network_s(nnunet, folder):
    dataset = ClickedDataset.open(DATASET, needs_splits=True)
    case = dataset.cases(["0"])[3]
    expand_targets(case, folder, dataset.labels, None)
    grid, _, targets = read_targets(case, dataset.labels)
    image = np.stack([read_array(path) for path in case.images])
    arrays = read_source(folder.source(case.identifier, "expansion"))
    for target, array in zip(targets, arrays, strict=True):
        window = window_around(target, grid.shape)
        box = shifted(target, -start_of(window)).box
        expected = target_probability(image, target, load_expander())
        assert np.abs(array[box] - expected * 255).max() <= 0.51
        outside = np.ones(array.shape, dtype=bool)
        outside[box] = False
        assert not array[outside].any()
    facts = read_facts(folder.source(case.identifier, "expansion"))
    assert [target["label"] for target in facts["targets"]] == [target.label for target in targets]


def test_kept_probabilities_are_read(own_raw, folder):
    dataset = ClickedDataset.open(DATASET, needs_splits=True)
    case = dataset.cases(["0"])[0]
    grid, _, targets = read_targets(case, dataset.labels)
    values = np.random.default_rng(0).integers(0, 256, grid.shape).astype(np.uint8)
    (own_raw / "probabilitiesTr").mkdir()
    for label in dataset.labels.values():
        file = own_raw / "probabilitiesTr" / f"{case.identifier}_{label:04d}.nii.gz"
        write_bytes_image(values + np.uint8(label), grid.geometry, file)
    case = dataset.cases(["0"])[0]
    assert len(case.kept) == 2
    expand_targets(case, folder, dataset.labels, None)
    for target, array in zip(targets, read_source(folder.source(case.identifier, "expansion")), strict=True):
        box = shifted(target, -start_of(window_around(target, grid.shape))).box
        assert np.array_equal(array[box], values[target.box] + np.uint8(target.label))
