"""`paseg expand`: masks on the grid of the image, whatever the number of processes and parts."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.image import imread

from nnunet_paseg import __version__
from nnunet_paseg.cli import main
from nnunet_paseg.evaluation.metrics import dice
from nnunet_paseg.io.case_files import label_maps
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.seeds.learned.weights import shipped_sha256
from tests.expansion.conftest import CENTRE, RADII, SHAPE, contents, expand, write_case

ELLIPSOID = (((np.stack(np.indices(SHAPE), -1) - CENTRE) / RADII) ** 2).sum(-1) < 0.8


def read(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.fixture
def folder(tmp_path):
    """Three cases, the last of which has no target."""
    write_case(tmp_path, "a")
    write_case(tmp_path, "b")
    write_case(tmp_path, "empty", classes=())
    return tmp_path


def test_masks_are_label_maps_on_the_grid_of_the_image(folder, capsys):
    assert expand(folder) == 0
    out = folder / "out"
    assert sorted(label_maps(out)) == ["a", "b", "empty"]
    for case in ("a", "b", "empty"):
        image, mask = (sitk.ReadImage(str(path)) for path in (folder / f"images/{case}.nii.gz", out / f"{case}.nii.gz"))
        assert mask.GetPixelID() == sitk.sitkUInt8
        assert Grid.from_image(mask).same_as(Grid.from_image(image))
        assert mask.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-5)
    assert dice(read(out / "a.nii.gz") == 1, ELLIPSOID) > 0.7
    assert not read(out / "empty.nii.gz").any()
    assert capsys.readouterr().out.splitlines()[-1].startswith("3 cases, 2 targets: 2 tumor (")
    assert json.loads((out / "dataset.json").read_text(encoding="utf-8")) == {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "tumor": 1},
        "file_ending": ".nii.gz",
        "paseg_expand": {"version": __version__, "expander_sha256": shipped_sha256(), "probabilities": False},
    }
    assert imread(out / "contact_sheet.png").std() > 0.05
    assert main(["evaluate", "-p", str(out), "-r", str(out), "-np", "1"]) == 0


def test_the_bytes_do_not_depend_on_the_number_of_processes(folder):
    assert expand(folder, "--probabilities", out="one") == 0
    assert expand(folder, "--probabilities", "--num-processes", "2", out="two") == 0
    assert len(contents(folder / "one")) == 6
    assert contents(folder / "one") == contents(folder / "two")
    assert contents(folder / "one", "records/*.json") == contents(folder / "two", "records/*.json")


def test_files_that_a_killed_process_left_are_removed_with_its_own_cases_only(folder):
    assert expand(folder, "--num-parts", "2", "--part-id", "1") == 0
    strays = [folder / "out" / name for name in (".0123456789abcdef.b.nii.gz", "records/.0123456789abcdef.a.json")]
    for stray in strays:
        stray.touch()
    assert expand(folder, "--num-parts", "2", "--part-id", "1") == 0
    assert [stray.exists() for stray in strays] == [False, True], "the other part may be writing"
    assert expand(folder) == 0
    assert not strays[1].exists()


def test_parts_are_those_of_nnunet_and_make_the_same_files(folder, capsys):
    assert expand(folder) == 0
    assert expand(folder, "--num-parts", "2", "--part-id", "1", out="parts") == 0
    assert [*contents(folder / "parts")] == ["b.nii.gz"]
    assert not (folder / "parts" / "contact_sheet.png").exists()
    assert "1 case, 1 target" in capsys.readouterr().out
    assert expand(folder, "--num-parts", "2", "--part-id", "0", out="parts") == 0
    assert contents(folder / "parts") == contents(folder / "out")
    assert contents(folder / "parts", "*.png") == contents(folder / "out", "*.png")


def test_overlapping_targets_go_to_the_likelier_one(tmp_path, probability_of):
    write_case(tmp_path, "a", classes=("tumor", "edema"), shift=2)
    probability_of(lambda instance: 0.7 if instance.label == 1 else 0.8)
    assert expand(tmp_path, "--probabilities", classes=("tumor", "edema")) == 0
    mask = read(tmp_path / "out" / "a.nii.gz")
    # The boxes are columns 5 to 17 and 7 to 19.
    assert mask[6, 9].tolist() == [0] * 5 + [1] * 2 + [2] * 13 + [0] * 4
    for name, value, columns in (("tumor", 178, slice(5, 18)), ("edema", 204, slice(7, 20))):
        probability = read(tmp_path / "out" / "probabilities" / f"a_{name}.nii.gz")
        assert probability.dtype == np.uint8
        assert (probability[6, 9, columns] == value).all()
        assert probability[6, 9].sum() == 13 * value


def test_several_targets_of_a_class_have_their_maximum(tmp_path, probability_of):
    write_case(tmp_path, "a", classes=("tumor", "tumor"), shift=2)
    probability_of(lambda instance: 0.6 if instance.box[2].start == 5 else 0.2)
    assert expand(tmp_path, "--probabilities") == 0
    probability = read(tmp_path / "out" / "probabilities" / "a_tumor.nii.gz")[6, 9]
    assert probability.tolist() == [0] * 5 + [153] * 13 + [51] * 2 + [0] * 4
    assert sorted(label_maps(tmp_path / "out")) == ["a"]


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (0.5, "the network finds nothing of it (p <= 0.5 in the whole box)"),
        (0.51, "the network finds no background in its box (p > 0.5 in the whole box)"),
        (np.where(np.arange(13) < 3, 0.9, 0.1), "the network contradicts a foreground point (p = 0.10)"),
    ],
)
def test_probabilities_that_mean_nothing_are_named_and_kept(tmp_path, probability_of, capsys, p, message):
    write_case(tmp_path, "a")
    probability_of(lambda instance: p)
    assert expand(tmp_path) == 0
    out = capsys.readouterr().out
    assert f"Warning: case a, target 1 (tumor): {message}." in out
    assert "1 warning, 0 bad cases" in out
    assert (read(tmp_path / "out" / "a.nii.gz")[6, 9, 5:18] == np.broadcast_to(p, 13).__gt__(0.5)).all()


def test_a_target_that_loses_every_voxel_is_named(tmp_path, probability_of, capsys):
    write_case(tmp_path, "a", classes=("tumor", "tumor"))
    probabilities = iter([0.9, 0.6])
    probability_of(lambda instance: next(probabilities))
    assert expand(tmp_path) == 0
    assert "target 2 (tumor): no voxel is left for its mask: other targets are likelier" in capsys.readouterr().out


def test_the_sheet_begins_with_the_smallest_confidence(folder, probability_of, monkeypatch):
    titles = []
    monkeypatch.setattr(
        "nnunet_paseg.expansion.cases.contact_sheet", lambda blocks, path: titles.extend(b.title for b in blocks) or []
    )
    probabilities = iter([0.9, 0.6])
    probability_of(lambda instance: np.where(np.arange(13) < 8, next(probabilities), 0.0))
    assert expand(folder) == 0
    assert titles == ["0.75  b: tumor 1", "0.95  a: tumor 1"]


def test_channels_are_read_one_after_the_other(tmp_path, monkeypatch):
    write_case(tmp_path, "a", channels=(0, 1))
    seen = []
    monkeypatch.setattr(
        "nnunet_paseg.expansion.case.target_probability",
        lambda image, instance, expander: seen.append(image.shape) or np.ones([s.stop - s.start for s in instance.box]),
    )
    assert expand(tmp_path, "--channel-names", "T1", "T2") == 0
    assert [shape[0] for shape in seen] == [2]
