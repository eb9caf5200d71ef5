"""Masks of a different tool: written in the boxes, and named where they contradict the clicks."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_paseg.io.images import read_array
from tests.expansion.conftest import CENTRE, SHAPE, contents, expand, write_case

BOX = tuple(slice(centre - radius + 1, centre + radius) for centre, radius in zip(CENTRE, (4, 6, 7), strict=True))
"""Box of the target: the voxels between the clicks."""


@pytest.fixture(autouse=True)
def fast(no_sheet):
    """Draw no contact sheet."""


def write_mask(folder, case, mask):
    (folder / "given").mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.CopyInformation(sitk.ReadImage(str(folder / "images" / f"{case}.nii.gz")))
    sitk.WriteImage(image, str(folder / "given" / f"{case}.nii.gz"))


def expand_given(folder, *options, **names):
    return expand(folder, "--with", "masks", "--masks", str(folder / "given"), *options, **names)


def record(folder, case="a"):
    return json.loads((folder / "out" / "records" / f"{case}.json").read_text(encoding="utf-8"))


def ball(label=1, centre=CENTRE, radius=3):
    return label * (((np.stack(np.indices(SHAPE), -1) - centre) ** 2).sum(-1) <= radius**2).astype(np.uint8)


def test_a_mask_that_fits_is_written_as_it_is(tmp_path, capsys):
    write_case(tmp_path, "a")
    write_mask(tmp_path, "a", ball())
    assert expand_given(tmp_path) == 0
    assert (read_array(tmp_path / "out" / "a.nii.gz") == ball()).all()
    (target,) = record(tmp_path)["targets"]
    volume = ball().sum() * 0.8 * 1.1 * 2.5
    assert target == {
        "class": "tumor",
        "volume_mm3": pytest.approx(volume, rel=1e-3),
        "likely_volume_mm3": pytest.approx(volume, rel=1e-3),
        "confidence": 1.0,
        "problems": [],
    }
    description = json.loads((tmp_path / "out" / "dataset.json").read_text(encoding="utf-8"))
    assert description["labels"] == {"background": 0, "tumor": 1}
    assert description["paseg_expand"]["masks"] == "given"
    assert description["paseg_expand"]["expander_sha256"] is None
    assert "1 case, 1 target" in capsys.readouterr().out


def test_a_mask_that_misses_its_inner_point(tmp_path, capsys):
    write_case(tmp_path, "a")
    mask = ball()
    mask[tuple(CENTRE)] = 0
    write_mask(tmp_path, "a", mask)
    assert expand_given(tmp_path) == 0
    message = "Warning: case a, target 1 (tumor): its mask misses the foreground point in voxel [6, 9, 11] (z, y, x)"
    assert message in capsys.readouterr().out
    assert record(tmp_path)["targets"][0]["confidence"] == 0


@pytest.mark.parametrize(("outside", "is_named"), [(12, False), (13, True)])
def test_a_mask_that_leaves_its_box(tmp_path, capsys, outside, is_named):
    """Of 110 + 13 voxels, 13 are more than a tenth, and 12 of 110 + 12 are not."""
    write_case(tmp_path, "a")
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[CENTRE[0], BOX[1], 8:18] = 1
    mask[CENTRE[0], 4 : 4 + outside, 18] = 1
    assert mask[BOX].sum() == 110
    write_mask(tmp_path, "a", mask)
    assert expand_given(tmp_path) == 0
    message = f"target 1 (tumor): {outside / (110 + outside):.0%} of its mask are outside its box and not written"
    assert (message in capsys.readouterr().out) == is_named
    written = read_array(tmp_path / "out" / "a.nii.gz")
    assert (written[BOX] == mask[BOX]).all()
    assert written.sum() == 110
    confidence = 2 * 110 / (110 + 110 + outside)
    assert record(tmp_path)["targets"][0]["confidence"] == pytest.approx(confidence, abs=1e-4)


def test_an_empty_mask_and_components_in_no_box(tmp_path, capsys):
    write_case(tmp_path, "a")
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[0, 0, :4] = 1
    write_mask(tmp_path, "a", mask)
    assert expand_given(tmp_path) == 0
    out = capsys.readouterr().out
    assert "target 1 (tumor): its mask is empty in its box: correct the mask or the points" in out
    assert "Warning: case a: 4 voxels of the mask of class tumor are in components outside every box." in out
    assert not read_array(tmp_path / "out" / "a.nii.gz").any()


def test_two_targets_of_a_class_share_their_boxes(tmp_path, capsys):
    write_case(tmp_path, "a", classes=("tumor", "tumor"), shift=4)
    mask = np.maximum(ball(), ball(centre=CENTRE + np.array((0, 0, 4))))
    write_mask(tmp_path, "a", mask)
    assert expand_given(tmp_path) == 0
    assert "0 warnings" in capsys.readouterr().out
    assert (read_array(tmp_path / "out" / "a.nii.gz") == mask).all()


def test_classes_have_their_labels(tmp_path, capsys):
    write_case(tmp_path, "a", classes=("tumor", "edema"), shift=4)
    mask = ball(radius=1)
    mask[ball(2, CENTRE + np.array((0, 0, 4)), 1) == 2] = 2
    write_mask(tmp_path, "a", mask)
    assert expand_given(tmp_path, classes=("tumor", "edema")) == 0
    assert "0 warnings" in capsys.readouterr().out
    assert (read_array(tmp_path / "out" / "a.nii.gz") == mask).all()


def test_bad_masks_cost_their_cases(tmp_path, capsys):
    for case in ("good", "grid", "label", "none"):
        write_case(tmp_path, case)
        write_mask(tmp_path, case, ball())
    (tmp_path / "given" / "none.nii.gz").unlink()
    write_mask(tmp_path, "label", ball(255))
    sitk.WriteImage(sitk.GetImageFromArray(ball()), str(tmp_path / "given" / "grid.nii.gz"))
    assert expand_given(tmp_path) == 2
    shown = capsys.readouterr()
    assert "1 case, 1 target" in shown.out
    grid, label, none = (line for line in shown.err.splitlines() if line.startswith("paseg: error: "))
    assert "grid.nii.gz is on a different grid than the image: resample the mask to the image." in grid
    assert "label.nii.gz contains the label 255: expected 0 background, 1 tumor." in label
    assert none == f"paseg: error: Case none: {tmp_path / 'given'} contains no mask: add none.nii.gz."


def test_a_corrected_mask_is_written_again(tmp_path):
    for case in ("a", "b"):
        write_case(tmp_path, case)
        write_mask(tmp_path, case, ball())
    assert expand_given(tmp_path) == 0
    before = contents(tmp_path / "out")
    times = {case: (tmp_path / "out" / f"{case}.nii.gz").stat().st_mtime_ns for case in "ab"}
    write_mask(tmp_path, "b", ball(radius=2))
    assert expand_given(tmp_path) == 0
    assert (read_array(tmp_path / "out" / "b.nii.gz") == ball(radius=2)).all()
    assert contents(tmp_path / "out")["a.nii.gz"] == before["a.nii.gz"]
    assert (tmp_path / "out" / "a.nii.gz").stat().st_mtime_ns == times["a"]


def test_masks_of_the_network_are_no_given_masks(tmp_path, capsys, probability_of):
    write_case(tmp_path, "a")
    write_mask(tmp_path, "a", ball())
    probability_of(lambda instance: 0.9)
    assert expand(tmp_path) == 0
    assert expand_given(tmp_path) == 2
    assert "contains masks of other options" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--with", "masks"], "--with masks and --masks FOLDER belong together: pass both."),
        (["--masks", "given"], "--with masks and --masks FOLDER belong together: pass both."),
        (["--with", "masks", "--masks", "given", "--probabilities"], "have no effect on given masks: leave them out."),
        (["--with", "masks", "--masks", "given", "--expander", "x.pt"], "have no effect on given masks: leave them"),
    ],
)
def test_options_that_do_not_fit(tmp_path, capsys, options, message):
    write_case(tmp_path, "a")
    assert expand(tmp_path, *options) == 2
    assert message in capsys.readouterr().err


def test_the_output_is_not_among_the_masks(tmp_path, capsys):
    write_case(tmp_path, "a")
    write_mask(tmp_path, "a", ball())
    assert expand_given(tmp_path, out="given/out") == 2
    assert "is in the input folder" in capsys.readouterr().err
