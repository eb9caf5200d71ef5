"""One case: what it needs of a volume, and what it does with sources of every kind."""

import csv
import hashlib
import json
import os
import re
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.conversion.case import convert_case, record_file
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.conversion.staging import FOLDERS
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.csv import HEADER
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import place_on_grid
from nnunet_paseg.points.simulate import simulate_points
from nnunet_paseg.seeds.expand import expand_points
from nnunet_paseg.seeds.rules import SeedParameters
from tests.conftest import write_image

PLAN = DatasetPlan("Dataset001_X", ("A", "B"), ("one", "two"), seeds=SeedParameters(rule="paper"))
LEARNED = replace(PLAN, seeds=SeedParameters())
SHAPE = (24, 30, 36)


@pytest.fixture
def case(tmp_path):
    """Two channels and targets in two corners of the volume, one of them at the border."""
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[12:17, 8:14, 20:27] = 1
    mask[15:24, 16:22, 9:16] = 2
    for channel in "AB":
        write_image(rng.normal(100, 5, SHAPE).astype(np.float32) + 40 * mask, tmp_path / f"{channel}.nii.gz")
    write_image(mask, tmp_path / "mask.nii.gz")
    images = (tmp_path / "A.nii.gz", tmp_path / "B.nii.gz")
    return Case("case", images, mask=tmp_path / "mask.nii.gz", annotation="simulated")


def made(case, plan, folder):
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    convert_case(case, plan, folder)
    return folder


@pytest.mark.parametrize("plan", [PLAN, LEARNED], ids=["paper", "learned"])
def test_windows_around_the_targets_change_nothing(case, tmp_path, plan):
    """The same points and labels as from the whole volume, although only the targets' part of it is used."""
    folder = made(case, plan, tmp_path / "out")
    image, mask = np.stack([read_array(path) for path in case.images]), read_array(case.mask)
    grid = Grid.from_file(case.images[0])
    points = read_points(folder / "points" / "case.csv", grid, PLAN.class_names)
    placed = [place_on_grid(instance, grid, PLAN.labels) for instance in points]
    labels = expand_points(image, placed, spacing_mm=grid.spacing_mm, num_classes=2, parameters=plan.seeds).labels
    np.testing.assert_array_equal(read_array(folder / "labelsTr" / "case.nii.gz"), labels)
    # Clicks are where simulate_points may put them in the whole volume: same random numbers, same borders.
    seed = int.from_bytes(hashlib.sha256(b"case").digest()[:8], "big")
    whole = simulate_points(mask, grid, PLAN.labels, np.random.default_rng([0, seed]))
    for cropped, expected in zip(points, whole, strict=True):
        np.testing.assert_allclose(cropped.foreground, expected.foreground, atol=1e-4)
        np.testing.assert_allclose(cropped.background, expected.background, atol=1e-4)


def test_crops_around_the_mask(case, tmp_path):
    folder = made(case, replace(PLAN, crop=(10, 16, 40)), tmp_path / "out")
    assert json.loads(record_file(folder, case).read_text(encoding="utf-8"))["window"] == [[12, 22], [6, 22], [0, 36]]
    window = np.s_[12:22, 6:22, 0:36]
    for number, path in enumerate(case.images):
        cropped = folder / "imagesTr" / f"case_{number:04d}.nii.gz"
        np.testing.assert_array_equal(read_array(cropped), read_array(path)[window])
        assert Grid.from_file(cropped).origin == pytest.approx((0.0, 6.0, 24.0))
    labels, mask = read_array(folder / "labelsTr" / "case.nii.gz"), read_array(case.mask)[window]
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert (mask[labels == 1] == 1).mean() > 0.8
    assert (mask[labels == 2] == 2).mean() > 0.8
    # Points that were clicked on the whole image are the same points of the world.
    made(case, PLAN, tmp_path / "whole")
    clicked = replace(case, points=tmp_path / "whole" / "points" / "case.csv", annotation="points")
    with pytest.raises(PasegError, match="lies outside the image"):
        made(clicked, replace(PLAN, crop=(10, 16, 40)), tmp_path / "clicked")
    wide = made(clicked, replace(PLAN, crop=(24, 30, 33)), tmp_path / "clicked")
    whole_labels = read_array(tmp_path / "whole" / "labelsTr" / "case.nii.gz")
    np.testing.assert_array_equal(read_array(wide / "labelsTr" / "case.nii.gz"), whole_labels[:, :, 1:34])


def test_an_empty_mask_is_a_case_without_target(case, tmp_path):
    write_image(np.zeros(SHAPE, dtype=np.uint8), case.mask)
    folder = made(case, PLAN, tmp_path / "out")
    assert not read_array(folder / "labelsTr" / "case.nii.gz").any()
    assert json.loads(record_file(folder, case).read_text(encoding="utf-8"))["instances"] == 0
    with pytest.raises(PasegError, match="Case case: The mask is empty, so there is nothing to crop around"):
        made(case, replace(PLAN, crop=(10, 10, 10)), tmp_path / "out")


def test_images_are_copied_linked_or_referenced(case, tmp_path):
    for mode in ("copy", "link", "reference"):
        for split in ("train", "test"):
            folder = made(replace(case, split=split), replace(PLAN, images=mode), tmp_path / mode / split)
            path = folder / ("imagesTr" if split == "train" else "imagesTs") / "case_0001.nii.gz"
            if mode == "reference" and split == "train":
                assert not path.exists()
                continue
            assert path.read_bytes() == case.images[1].read_bytes()
            assert path.samefile(case.images[1]) == (mode != "copy")
            assert path.is_symlink() == (mode == "reference")
    labels = [read_array(tmp_path / mode / "train" / "labelsTr" / "case.nii.gz") for mode in ("copy", "reference")]
    np.testing.assert_array_equal(*labels)


def test_hard_links_across_file_systems_are_refused(case, tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(PasegError, match=r"Case case: .*A\.nii\.gz cannot be hard-linked .*cross-device.*--images ref"):
        made(case, replace(PLAN, images="link"), tmp_path / "out")


@pytest.mark.parametrize("annotation", ["simulated", "dense"])
@pytest.mark.parametrize("name", ["A.nii.gz", "B.nii.gz", "mask.nii.gz"])
def test_truncated_files_are_refused(case, tmp_path, annotation, name):
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(PasegError, match=rf"Case case: .*{name} is truncated or damaged"):
        made(replace(case, annotation=annotation), PLAN, tmp_path / "out")
    assert not record_file(tmp_path / "out", case).exists()


def test_voxels_that_are_not_finite_are_refused(case, tmp_path):
    values = read_array(case.images[0])
    values[0, 0, :2] = np.nan, np.inf
    write_image(values, case.images[0])
    with pytest.raises(PasegError, match=r"Case case: .*A\.nii\.gz contains 2 NaN or infinite voxels: repair it"):
        made(case, PLAN, tmp_path / "out")


def test_a_full_disk_is_said(case, tmp_path, monkeypatch):
    def fill(*_args, **_options):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr("nnunet_paseg.conversion.images.shutil.copyfile", fill)
    with pytest.raises(PasegError, match=r"^somewhere: No space left on device: make room"):
        made(case, PLAN, tmp_path / "out")

    def fail(*_args, **_options):
        raise RuntimeError("sitk::ERROR")

    monkeypatch.undo()
    monkeypatch.setattr("nnunet_paseg.conversion.images.sitk.WriteImage", fail)
    with pytest.raises(PasegError, match=r"case\.nii\.gz cannot be written: make room"):
        made(case, PLAN, tmp_path / "out")


@settings(max_examples=8)
@given(size=st.floats(-3, 1).map(lambda digits: 10**digits))
def test_estimated_volumes_have_digits_from_a_micrometre_to_a_centimetre(tmp_path_factory, size):
    folder = tmp_path_factory.mktemp("sizes")
    rng, mask = np.random.default_rng(0), np.zeros((12, 14, 16), dtype=np.uint8)
    mask[4:8, 5:9, 6:10] = 1
    image = rng.normal(100, 5, mask.shape).astype(np.float32) + 40 * mask
    volumes = {}
    for name, spacing in (("mm", 1.0), ("other", size)):
        write_image(image, folder / f"{name}.nii.gz", (spacing,) * 3)
        write_image(mask, folder / f"{name}_mask.nii.gz", (spacing,) * 3)
        case = Case(name, (folder / f"{name}.nii.gz",), mask=folder / f"{name}_mask.nii.gz", annotation="simulated")
        if name == "other":  # the same clicks
            case = replace(case, points=folder / "other.csv", annotation="points")
            rows = csv.reader((folder / "out" / "points" / "mm.csv").read_text(encoding="utf-8").splitlines())
            scaled = [[*row[:3], *(repr(float(number) * size) for number in row[3:])] for row in list(rows)[1:]]
            lines = [",".join(HEADER), *(",".join(row) for row in scaled)]
            case.points.write_text("\n".join(lines) + "\n", encoding="utf-8")
        made(case, LEARNED, folder / "out")
        record = json.loads((folder / "out" / "records" / f"{name}.json").read_text(encoding="utf-8"))
        volumes[name] = record["likely_volume_mm3"]
    assert set(volumes["mm"]) == set(volumes["other"]) == {"one"}, "a class without targets has no volume, not 0"
    assert volumes["other"]["one"] == pytest.approx(volumes["mm"]["one"] * size**3, rel=1e-3)


def test_a_header_that_contradicts_itself_is_a_warning(case, tmp_path):
    image = nibabel.load(case.images[1])
    affine = image.affine.copy()
    affine[0, 3] += 3
    image.set_sform(affine, code=2)
    nibabel.save(image, case.images[1])
    made(case, PLAN, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "records" / "case.json").read_text(encoding="utf-8"))
    assert re.search(r"B\.nii\.gz: the qform and the sform of its header are 3 voxels apart", record["warning"])


def test_an_image_in_the_place_of_a_mask_is_not_listed_value_by_value(case, tmp_path):
    image = replace(case, mask=case.images[0])
    with pytest.raises(PasegError, match=r"A\.nii\.gz contains the values \[.*\] and \d+ more, which belong") as raised:
        made(image, PLAN, tmp_path / "out")
    assert len(str(raised.value)) < 500 + len(str(tmp_path))
