"""`paseg convert paseg-points`: PA-Seg's published label-map points to an nnU-Net dataset."""

import re

import numpy as np
import pytest

from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.io.images import read_array
from tests.conftest import load_script, write_image

SHAPE = (12, 16, 20)


@pytest.fixture
def folder(tmp_path):
    """Two marked cases, and two test cases that are called after years."""
    rng = np.random.default_rng(0)
    points = np.zeros(SHAPE, dtype=np.uint8)
    for z, y, x in [(2, 8, 9), (9, 8, 9), (5, 3, 9), (5, 12, 9), (5, 8, 4), (5, 8, 15)]:
        points[z, y, x] = 1
    points[5, 8, 9] = 2
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[3:9, 4:12, 5:15] = 1
    for name in ("one", "two"):
        write_image(rng.normal(size=SHAPE).astype(np.float32), tmp_path / "images" / f"{name}.nii.gz")
        write_image(points, tmp_path / "points" / f"{name}_7points.nii.gz")
    for name in ("pat_2020", "pat_2021"):
        write_image(rng.normal(size=SHAPE).astype(np.float32), tmp_path / "test" / f"{name}.nii.gz")
        write_image(mask, tmp_path / "masks" / f"{name}.nii.gz")
    return tmp_path


def convert(folder, *options, images="images", points="points"):
    script = load_script("from_paseg_points")
    arguments = [folder / images, folder / points, 8, "--raw", folder / "raw", "--num-processes", 1, *options]
    return run(script.main, script.build_parser(), list(map(str, arguments)))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_published_points(folder):
    tests = ["--test-images", folder / "test", "--test-masks", folder / "masks"]
    assert convert(folder, "--seeds", "paper", "--class-name", "tumor", *tests) == 0
    made = folder / "raw" / "Dataset008_Points"
    labels = read_array(made / "labelsTr" / "one.nii.gz")
    assert labels[5, 8, 9] == 1
    assert labels[5, 8, 14] == 2
    assert labels[5, 8, 15] == 0
    # Four digits are a year here, and no channel.
    assert files(made / "imagesTs") == ["pat_2020_0000.nii.gz", "pat_2021_0000.nii.gz"]
    assert files(made / "labelsTs") == ["pat_2020.nii.gz", "pat_2021.nii.gz"]


def test_several_channels_in_one_folder_with_the_points(folder, capsys):
    for name in ("one", "two", "unmarked"):
        for channel in range(2):
            values = np.full(SHAPE, channel, dtype=np.float32) + np.arange(SHAPE[2], dtype=np.float32)
            write_image(values, folder / "points" / f"{name}_{channel:04d}.nii.gz")
    assert convert(folder, "--channel-names", "T1", "T2", images="points") == 0
    made = folder / "raw" / "Dataset008_Points"
    assert files(made / "imagesTr") == [f"{name}_{n:04d}.nii.gz" for name in ("one", "two") for n in range(2)]
    assert "1 of 3 images have no points and are left out: ['unmarked']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda f: (f / "points").rename(f / "clicks"), [], r"error: .*points: no such folder"),
        (lambda f: (f / "images").rename(f / "scans"), [], r"error: .*images: no such folder"),
        (
            lambda f: [path.rename(path.with_name(path.name.replace("_7", "_8"))) for path in f.glob("points/*")],
            [],
            r"points contains no points: expected files called \{case\}_7points\.nii\.gz",
        ),
        (
            lambda f: (f / "images" / "two.nii.gz").unlink(),
            [],
            r"Case two: .*images contains no image for two_7points\.nii\.gz",
        ),
        (lambda f: None, ["--test-images", "tset"], r"error: tset: no such folder"),
        (
            lambda f: [path.unlink() for path in f.glob("test/*")],
            ["--test-images", "{}/test"],
            r"test contains no image: expected \{case\}\.nii\.gz",
        ),
        (
            lambda f: (f / "masks" / "pat_2021.nii.gz").unlink(),
            ["--test-images", "{}/test", "--test-masks", "{}/masks"],
            r"Test case pat_2021 has no mask in .*masks: add pat_2021\.nii\.gz",
        ),
        (lambda f: None, ["--test-masks", "{}/masks"], r"--test-masks requires --test-images: pass both"),
    ],
)
def test_bad_folders_are_refused(folder, capsys, spoil, options, message):
    spoil(folder)
    assert convert(folder, *(option.format(folder) for option in options)) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (folder / "raw").exists()
