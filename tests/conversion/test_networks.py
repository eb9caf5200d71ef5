"""Conversions with a network: its weights are part of the record, and two networks are never mixed in one dataset."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from nnunet_paseg.conversion import workers
from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.conversion.convert import convert, convert_part
from nnunet_paseg.conversion.plan import DatasetPlan
from nnunet_paseg.conversion.probability_maps import PROBABILITIES, PSEUDO_LABELS
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_array
from nnunet_paseg.seeds.learned.layout import Layout
from nnunet_paseg.seeds.learned.network import ExpansionNetwork
from nnunet_paseg.seeds.learned.weights import shipped_sha256, weights_bytes
from nnunet_paseg.seeds.rules import SeedParameters
from nnunet_paseg.trainers.data import label_maps
from tests.conftest import load_script, write_image
from tests.conversion.test_convert import PLAN as PAPER_PLAN
from tests.conversion.test_convert import cases_of, contents

PLAN = replace(PAPER_PLAN, seeds=SeedParameters())
ALL, NOTHING = 8.0, -8.0


@pytest.fixture
def weights(tmp_path):
    """Write a small network whose logit is the same everywhere: p = 0.9997 with ALL, 0.0003 with NOTHING."""

    def write(logit, name):
        network = ExpansionNetwork((8, 8, 8, 8))
        torch.nn.init.zeros_(network.logit.weight)
        torch.nn.init.constant_(network.logit.bias, logit)
        path = tmp_path / name
        path.write_bytes(weights_bytes(network, Layout()))
        return path

    return write


def with_weights(path, **options):
    return replace(PLAN, seeds=SeedParameters(expander=path), **options)


def record_of(folder):
    return json.loads((folder / "paseg.json").read_text(encoding="utf-8"))


def test_the_record_names_the_network(dense_dataset, weights, tmp_path):
    path = weights(ALL, "all.pt")
    own = record_of(convert(cases_of(dense_dataset, 1), with_weights(path), tmp_path / "raw", num_processes=1))
    assert own["seeds"] == {
        "rule": "learned",
        "foreground_probability": 0.7,
        "background_probability": 0.3,
        "expander_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    shipped = record_of(convert(cases_of(dense_dataset, 1), PLAN, tmp_path / "shipped", num_processes=1))
    assert shipped["seeds"]["expander_sha256"] == shipped_sha256()


def test_a_resumed_conversion_never_mixes_two_networks(dense_dataset, weights, tmp_path, capsys):
    cases, raw = cases_of(dense_dataset, 3), tmp_path / "raw"
    first, second = with_weights(weights(ALL, "a.pt")), with_weights(weights(NOTHING, "b.pt"))
    convert_part(cases, first, raw, part_id=0, num_parts=2, num_processes=1)
    folder = convert(cases, second, raw, num_processes=1)
    assert " 3/3 [" in capsys.readouterr().err, "no case of the first network is kept"
    assert contents(folder) == contents(convert(cases, second, tmp_path / "b", num_processes=1))
    for case in cases:
        labels = read_array(folder / "labelsTr" / f"{case.identifier}.nii.gz")
        assert (labels == 1).sum() == (labels == 2).sum() == 1, "the second network finds nothing but the clicks"


def test_the_same_network_in_another_file_continues(dense_dataset, weights, tmp_path, capsys):
    cases, raw, path = cases_of(dense_dataset, 3), tmp_path / "raw", weights(ALL, "a.pt")
    convert_part(cases, with_weights(path), raw, part_id=0, num_parts=2, num_processes=1)
    capsys.readouterr()
    convert(cases, with_weights(shutil.copy(path, tmp_path / "copy.pt")), raw, num_processes=1)
    assert " 1/1 [" in capsys.readouterr().err


def test_a_network_that_is_replaced_during_a_conversion_is_refused(dense_dataset, weights, tmp_path, monkeypatch):
    """As a process would find it that reads the file later than the others."""
    path, real = weights(ALL, "a.pt"), SeedParameters.with_sha256
    other = replace(real(SeedParameters(expander=weights(NOTHING, "b.pt"))), expander=path)
    monkeypatch.setattr(SeedParameters, "with_sha256", lambda _: other)
    with pytest.raises(PasegError, match=r"Case case_0: .*a\.pt was replaced during the conversion"):
        convert(cases_of(dense_dataset, 1), with_weights(path), tmp_path / "raw", num_processes=1)
    assert not (tmp_path / "raw" / PLAN.name).exists()


def test_the_same_bytes_for_any_number_of_processes(dense_dataset, tmp_path):
    plan = replace(PLAN, pseudo_labels=True, keep_probabilities=True)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one = convert(cases_of(dense_dataset, 3), plan, tmp_path / "one", num_processes=1)
        assert torch.get_num_threads() == 2, "the caller's threads are restored"
    finally:
        torch.set_num_threads(before)
    two = convert(cases_of(dense_dataset, 3), plan, tmp_path / "two", num_processes=2)
    assert contents(one) == contents(two)


def test_a_case_is_converted_in_one_thread(monkeypatch):
    found = []
    monkeypatch.setattr(workers, "convert_case", lambda *_: found.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        list(workers.convert_cases(["a", "b"], None, None, 1, None))
    finally:
        torch.set_num_threads(before)
    assert found == [1, 1]


@pytest.mark.parametrize(
    ("logit", "message"),
    [
        (ALL, "the network finds no background in its box (p > 0.5 in the whole box)"),
        (NOTHING, "the network finds nothing of it (p <= 0.5 in the whole box)"),
    ],
)
def test_a_network_against_the_points_is_a_warning(dense_dataset, weights, tmp_path, capsys, logit, message):
    folder = convert(
        cases_of(dense_dataset, 1), with_weights(weights(logit, "a.pt")), tmp_path / "raw", num_processes=1
    )
    warning = record_of(folder)["cases"]["case_0"]["warning"]
    for number, name in enumerate(PLAN.class_names, start=1):
        assert f"target {number} ('{name}'): {message}" in warning
    assert message in capsys.readouterr().out
    # What the network says is not replaced.
    labels = read_array(folder / "labelsTr" / "case_0.nii.gz")
    assert ((labels == 1).sum() > 10) == (logit == ALL)
    if logit == NOTHING:
        assert "the network contradicts a foreground point (p = 0.00)" in warning
        assert "check its points, or lower --foreground-probability" in warning


def test_the_volume_is_the_sum_of_the_probabilities(dense_dataset, weights, tmp_path):
    plan = with_weights(weights(0.0, "half.pt"), keep_probabilities=True)
    folder = convert(cases_of(dense_dataset, 1), plan, tmp_path / "raw", num_processes=1)
    volumes = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["likely_volume_mm3"]["case_0"]
    for name, label in plan.labels.items():
        p = read_array(folder / PROBABILITIES / f"case_0_{label:04d}.nii.gz")
        assert set(np.unique(p)) == {0, 128}
        assert volumes[name] == pytest.approx((p > 0).sum() / 2 * 2, rel=1e-3)  # of 2 mm³ each


def test_masks_and_probabilities_are_written(dense_dataset, weights, tmp_path):
    plan = with_weights(weights(ALL, "a.pt"), pseudo_labels=True, keep_probabilities=True)
    cases = [*cases_of(dense_dataset, 2), *cases_of(dense_dataset, 3, annotation="dense")[2:]]
    cases += cases_of(dense_dataset, 4, split="test")[3:]
    folder = convert(cases, plan, tmp_path / "raw", num_processes=1)
    names = [f"case_{number}.nii.gz" for number in range(3)]
    assert sorted(path.name for path in (folder / PSEUDO_LABELS).iterdir()) == names
    assert sorted(path.name for path in (folder / PROBABILITIES).iterdir()) == [
        f"case_{number}_{label:04d}.nii.gz" for number in range(2) for label in (1, 2)
    ]
    for name in names[:2]:
        labels, masks = read_array(folder / "labelsTr" / name), read_array(folder / PSEUDO_LABELS / name)
        assert set(np.unique(masks)) == {0, 1, 2}
        # This network fills the boxes, so that masks and seeds are the same.
        np.testing.assert_array_equal(masks > 0, labels > 0)
        for label in (1, 2):
            p = read_array(folder / PROBABILITIES / name.replace(".nii.gz", f"_{label:04d}.nii.gz"))
            assert p.dtype == np.uint8
            assert (p[masks == label] == 255).all()
            assert set(np.unique(p)) == {0, 255}
    # A dense case keeps its mask.
    dense = [read_array(folder / sub / names[2]) for sub in ("labelsTr", PSEUDO_LABELS)]
    np.testing.assert_array_equal(*dense)
    plain = convert(cases, with_weights(weights(ALL, "a.pt")), tmp_path / "plain", num_processes=1)
    assert not (plain / PSEUDO_LABELS).exists()
    assert not (plain / PROBABILITIES).exists()
    for name in names:
        assert (plain / "labelsTr" / name).read_bytes() == (folder / "labelsTr" / name).read_bytes()


def test_a_case_without_targets_has_empty_masks(dense_dataset, weights, tmp_path):
    cases = cases_of(dense_dataset, 1)
    write_image(np.zeros((12, 16, 20), dtype=np.uint8), dense_dataset / "labelsTr" / "case_0.nii.gz")
    plan = with_weights(weights(ALL, "a.pt"), pseudo_labels=True, keep_probabilities=True)
    folder = convert(cases, plan, tmp_path / "raw", num_processes=1)
    files = [*(folder / PSEUDO_LABELS).iterdir(), *(folder / PROBABILITIES).iterdir()]
    assert len(files) == 3
    assert not any(read_array(file).any() for file in files)


def test_an_unwritable_file_leaves_the_case_open(dense_dataset, weights, tmp_path, monkeypatch):
    """The record comes last, after masks and probabilities."""
    plan = with_weights(weights(ALL, "a.pt"), pseudo_labels=True, keep_probabilities=True)

    def fail(values, grid, path):
        raise PasegError(f"{path.name} stopped")

    with monkeypatch.context() as patch:
        patch.setattr("nnunet_paseg.conversion.probability_maps.write_labels", fail)
        with pytest.raises(PasegError, match=r"Case case_0: .*stopped"):
            convert(cases_of(dense_dataset, 1), plan, tmp_path / "raw", num_processes=1)
    assert not list((tmp_path / "raw").glob(".*.partial/records/*"))
    folder = convert(cases_of(dense_dataset, 1), plan, tmp_path / "raw", num_processes=1)
    assert contents(folder) == contents(convert(cases_of(dense_dataset, 1), plan, tmp_path / "b", num_processes=1))


@pytest.mark.parametrize("option", ["pseudo_labels", "keep_probabilities"])
def test_a_rule_without_a_network_has_no_masks(option):
    name = option.replace("_", "-")
    with pytest.raises(PasegError, match=rf"--{name} needs the network, which the seed rule paper does not use: pass"):
        DatasetPlan("Dataset001_X", ("MRI",), ("a",), seeds=SeedParameters(rule="paper"), **{option: True})


def test_stage_2_reads_the_folder():
    assert PSEUDO_LABELS == label_maps.FOLDER


def test_the_command_line(dense_dataset, weights, tmp_path, capsys):
    script = load_script("from_dense_dataset")
    arguments = [str(dense_dataset), "7", "--raw", str(tmp_path), "--num-processes", "1", "--num-train", "1"]
    options = ["--expander", str(weights(0.0, "half.pt")), "--pseudo-labels", "--keep-probabilities"]
    options += ["--foreground-probability", "0.4", "--background-probability", "0.2"]
    assert run(script.main, script.build_parser(), [*arguments, *options]) == 0
    folder = tmp_path / "Dataset007_Tiny"
    seeds = record_of(folder)["seeds"]
    assert (seeds["foreground_probability"], seeds["background_probability"]) == (0.4, 0.2)
    (masks,) = (folder / PSEUDO_LABELS).iterdir()
    assert not read_array(masks).any(), "p = 0.5 is not more than 0.5"
    assert len(list((folder / PROBABILITIES).iterdir())) == 2
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no weights")
    assert run(script.main, script.build_parser(), [*arguments, "--overwrite", "--expander", str(broken)]) == 2
    assert "broken.pt contains no weights of an expansion network" in capsys.readouterr().err
    assert run(script.main, script.build_parser(), [*arguments, "--overwrite", "--expander", "gone.pt"]) == 2
    assert "gone.pt cannot be read" in capsys.readouterr().err
