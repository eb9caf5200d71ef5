"""Images as they come: of one slice, of any type and byte order, constant, and targets as large as the image."""

import json
import re

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_paseg.points.formats.csv import write_csv
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance
from tests.expansion.conftest import CENTRE, RADII, SHAPE, contents, expand, write_case

pytestmark = pytest.mark.usefixtures("no_sheet")


def read(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def rewrite(path, function):
    """Replace the voxels of an image, on the same grid."""
    old = sitk.ReadImage(str(path))
    image = sitk.GetImageFromArray(function(sitk.GetArrayFromImage(old)))
    image.CopyInformation(old)
    sitk.WriteImage(image, str(path))


def click(folder, case, inner, low, high):
    """Points of one target: an inner voxel, and the outermost ones (z, y, x) along every axis."""
    grid = Grid.from_file(folder / "images" / f"{case}.nii.gz")
    faces = []
    for axis, length in enumerate(grid.shape):
        for end in (low, high) if length > 1 else ():
            faces.append([*inner[:axis], end[axis], *inner[axis + 1 :]])
    instance = Instance("tumor", grid.to_world([inner]), grid.to_world(faces))
    write_csv([instance], folder / "points" / f"{case}.csv")


def target(folder, case="a"):
    (record,) = json.loads((folder / "out" / "records" / f"{case}.json").read_text(encoding="utf-8"))["targets"]
    return record


@pytest.mark.parametrize("kind", ["uint16", "int64", "float64"])
def test_the_type_of_the_voxels_does_not_matter(tmp_path, kind):
    for case in ("a", "b"):
        write_case(tmp_path, case)
        rewrite(tmp_path / "images" / f"{case}.nii.gz", lambda values: np.rint(values).astype(np.float32))
    rewrite(tmp_path / "images" / "b.nii.gz", lambda values: values.astype(kind))
    assert expand(tmp_path, "--probabilities") == 0
    for name in ("{}.nii.gz", "probabilities/{}_tumor.nii.gz"):
        np.testing.assert_array_equal(*(read(tmp_path / "out" / name.format(case)) for case in ("a", "b")))


def test_big_endian_files_and_other_formats_give_the_same_mask(tmp_path):
    for case in ("a", "b", "c", "d"):
        write_case(tmp_path, case)
    # All oblique.
    image = sitk.ReadImage(str(tmp_path / "images" / "a.nii.gz"))
    little = nibabel.load(tmp_path / "images" / "a.nii.gz")
    big = nibabel.Nifti1Image(little.get_fdata(dtype=np.float32), None, little.header.as_byteswapped(">"))
    big.to_filename(tmp_path / "images" / "b.nii.gz")
    assert (tmp_path / "images" / "b.nii.gz").exists()
    for case, ending in (("c", ".mhd"), ("d", ".nrrd")):
        (tmp_path / "images" / f"{case}.nii.gz").unlink()
        sitk.WriteImage(image, str(tmp_path / "images" / f"{case}{ending}"))
    assert expand(tmp_path) == 0
    first, *others = (read(tmp_path / "out" / f"{case}.nii.gz") for case in ("a", "b", "c", "d"))
    assert first.any()
    for mask in others:
        np.testing.assert_array_equal(mask, first)


def test_an_image_of_one_slice(tmp_path):
    write_case(tmp_path, "a")
    path = tmp_path / "images" / "a.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(path))[:, :, int(CENTRE[0]) : int(CENTRE[0]) + 1], str(path))
    inner = [0, int(CENTRE[1]), int(CENTRE[2])]
    click(tmp_path, "a", inner, [0, *(CENTRE - RADII)[1:]], [0, *(CENTRE + RADII)[1:]])
    assert expand(tmp_path) == 0
    mask = read(tmp_path / "out" / "a.nii.gz")
    assert mask.shape == (1, *SHAPE[1:])
    places = np.stack(np.indices(SHAPE[1:]), -1)
    truth = (((places - CENTRE[1:]) / RADII[1:]) ** 2).sum(-1) < 0.8
    assert 2 * (mask[0] & truth).sum() / (mask.sum() + truth.sum()) > 0.7


def test_a_target_of_one_voxel(tmp_path):
    write_case(tmp_path, "a")
    rewrite(tmp_path / "images" / "a.nii.gz", lambda values: np.where(np.indices(SHAPE).sum(0) == 26, 200, values))
    click(tmp_path, "a", CENTRE.tolist(), CENTRE - 1, CENTRE + 1)
    assert expand(tmp_path) == 0
    mask = read(tmp_path / "out" / "a.nii.gz")
    mask[tuple(CENTRE)] = 0
    assert not mask.any()
    assert 0 < target(tmp_path)["likely_volume_mm3"] < 0.8 * 1.1 * 2.5 + 0.01


@pytest.mark.parametrize(
    ("low", "high"), [((0, 0, 0), (9, 15, 18)), ((3, 0, 5), (13, 19, 23)), ((0, 0, 0), (13, 19, 23))]
)
def test_a_target_at_the_border_of_the_image(tmp_path, low, high):
    """The last one is as large as the image."""
    write_case(tmp_path, "a")
    click(tmp_path, "a", CENTRE.tolist(), low, high)
    assert expand(tmp_path) == 0
    mask = read(tmp_path / "out" / "a.nii.gz")
    assert mask.shape == SHAPE
    inside = tuple(
        slice(a if a == 0 else a + 1, b + 1 if b == length - 1 else b)
        for a, b, length in zip(low, high, SHAPE, strict=True)
    )
    assert mask[tuple(CENTRE)] == 1
    mask[inside] = 0
    assert not mask.any()


def test_a_box_that_leaves_the_image_is_refused(tmp_path, capsys):
    write_case(tmp_path, "a")
    click(tmp_path, "a", CENTRE.tolist(), (-1, 3, 4), (13, 15, 18))
    assert expand(tmp_path) == 2
    message = r"Case a: .*a\.csv: A point of an instance of class 'tumor' lies outside the image: .*voxel \[-1, 9, 11\]"
    assert re.search(message, capsys.readouterr().err)
    assert not [*contents(tmp_path / "out")]


def test_a_constant_image_gives_a_mask_within_the_box(tmp_path):
    write_case(tmp_path, "a")
    rewrite(tmp_path / "images" / "a.nii.gz", lambda values: np.full_like(values, 7))
    assert expand(tmp_path) == 0
    low, high = CENTRE - RADII, CENTRE + RADII
    mask = read(tmp_path / "out" / "a.nii.gz")
    mask[tuple(slice(a + 1, b) for a, b in zip(low, high, strict=True))] = 0
    assert not mask.any()
    assert 0 <= target(tmp_path)["confidence"] <= 1


def test_a_channel_that_is_constant_leaves_the_other_one(tmp_path):
    write_case(tmp_path, "a", channels=(0, 1))
    rewrite(tmp_path / "images" / "a_0001.nii.gz", lambda values: np.zeros_like(values))
    assert expand(tmp_path, "--channel-names", "T1", "T2") == 0
    truth = (((np.stack(np.indices(SHAPE), -1) - CENTRE) / RADII) ** 2).sum(-1) < 0.8
    mask = read(tmp_path / "out" / "a.nii.gz")
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.7


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("float32", np.nan, r"Case a: .*a\.nii\.gz contains 1 NaN or infinite voxels: repair it"),
        ("float32", np.inf, r"Case a: .*a\.nii\.gz contains 1 NaN or infinite voxels: repair it"),
        ("float64", 1e200, r"Case a: .*a\.nii\.gz: The image contains NaN, infinite or too large values near a target"),
    ],
)
def test_voxels_that_are_no_number_are_refused(tmp_path, capsys, kind, value, message):
    write_case(tmp_path, "a")

    def spoil(values):
        values = values.astype(kind)
        values[tuple(CENTRE + 1)] = value
        return values

    rewrite(tmp_path / "images" / "a.nii.gz", spoil)
    assert expand(tmp_path) == 2
    shown = capsys.readouterr()
    assert re.search(message, shown.err)
    assert "Warning" not in shown.err
    assert not [*contents(tmp_path / "out")]


def test_a_class_without_target_is_named(tmp_path, capsys):
    write_case(tmp_path, "a")
    assert expand(tmp_path, classes=("tumor", "edema", "cyst")) == 0
    shown = capsys.readouterr().out
    assert "Warning: none of these cases has a target of class edema, cyst: check --classes." in shown
    assert "1 warning, 0 bad cases" in shown
