"""`paseg convert folder`: any point format to an nnU-Net dataset."""

import json
import re

import numpy as np
import pytest

from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.grid import Grid
from tests.conftest import load_script, write_image
from tests.points.formats import writers

SHAPE = (12, 16, 20)
VOXELS = np.array([[2, 8, 9], [9, 8, 9], [5, 3, 9], [5, 12, 9], [5, 8, 4], [5, 8, 15], [5, 8, 9]])


@pytest.fixture
def sources(tmp_path):
    """Four cases of two channels, each marked in another format, and a test case with its mask."""
    rng = np.random.default_rng(0)
    for folder, cases in {"images": "abcd", "test": "e"}.items():
        for case in cases:
            for channel in range(2):
                values = rng.normal(100, 5, SHAPE).astype(np.float32)
                write_image(values, tmp_path / folder / f"{case}_{channel:04d}.nii.gz")
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[3:9, 4:12, 5:15] = 2
    write_image(mask, tmp_path / "masks" / "e.nii.gz")
    points = tmp_path / "points"
    (points / "d").mkdir(parents=True)
    world = Grid.from_file(tmp_path / "images" / "a_0000.nii.gz").to_world(VOXELS)
    names = ["edema", *[f"F-{n}" for n in range(2, 8)]]
    writers.save_markups(points / "a.mrk.json", writers.point_list(world, names, system="RAS"))
    writers.save_fcsv(points / "b.fcsv", world, names)
    writers.save_table(
        points / "c.kji.csv",
        ["index", "axis-0", "axis-1", "axis-2", "label"],
        [[n, *voxel, "edema"] for n, voxel in enumerate(VOXELS)],
    )
    writers.save_markups(points / "d" / "R.mrk.json", writers.roi(world[6] + [0.5, -0.5, 1.0], [10.5, 8.5, 13.5]))
    writers.save_markups(points / "d" / "edema.mrk.json", writers.point_list(world[6:]))
    return tmp_path


def write_cases(folder, number):
    """Cases of one channel, with a bright box and its seven points."""
    rng = np.random.default_rng(0)
    (folder / "points").mkdir(parents=True)
    for case in (f"case_{n}" for n in range(number)):
        values = rng.normal(100, 5, (24, 28, 32))
        values[3:9, 4:12, 5:15] += 40
        image = folder / "images" / f"{case}.nii.gz"
        write_image(values.astype(np.float32), image)
        world = Grid.from_file(image).to_world(VOXELS)
        writers.save_markups(folder / "points" / f"{case}.mrk.json", writers.point_list(world))


def convert(folder, *options, classes=("tumor", "edema")):
    script = load_script("from_folder")
    arguments = [str(folder / "images"), str(folder / "points"), "9", "--raw", str(folder / "raw")]
    fixed = ["--num-processes", "1", "--classes", *classes]
    return run(script.main, script.build_parser(), [*arguments, *fixed, *options])


def test_every_format_gives_the_same_labels(sources):
    tests = ["--test-images", str(sources / "test"), "--test-masks", str(sources / "masks")]
    assert convert(sources, "--name", "Brain", "--seeds", "paper", "--channel-names", "T1", "T2", *tests) == 0
    assert sorted(path.name for path in (sources / "raw").iterdir()) == ["Dataset009_Brain"]
    folder = sources / "raw" / "Dataset009_Brain"
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert content["labels"] == {"background": 0, "tumor": 1, "edema": 2, "ignore": 3}
    assert content["channel_names"] == {"0": "T1", "1": "T2"}
    for case in "abcd":
        labels = read_array(folder / "labelsTr" / f"{case}.nii.gz")
        assert labels[5, 8, 9] == 2
        inside = np.zeros(SHAPE, dtype=bool)
        inside[3:9, 4:12, 5:15] = True
        assert (labels[inside] >= 2).all()
        assert (labels[~inside] == 0).all()
    assert (read_array(folder / "labelsTs" / "e.nii.gz") == 2).sum() == 6 * 8 * 10


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (
            lambda s: (s / "points" / "a.mrk.json").rename(s / "points" / "x.mrk.json"),
            [],
            "error: Case x: .* contains no image for",
        ),
        (
            lambda s: (s / "points" / "a.csv").touch(),
            [],
            r"Case a has 2 point files \(a\.csv, a\.mrk\.json\): keep one",
        ),
        (
            lambda s: (s / "points" / "d" / "edema.mrk.json").unlink(),
            [],
            r"R\.mrk\.json, markup 1 'R' contains no foreground",
        ),
        (lambda s: (s / "masks" / "e.nii.gz").unlink(), [], r"Test case e has no mask in .*: add e\.nii\.gz"),
        (lambda s: None, ["--channel-names", "T1"], r"All cases have 2 image files for the 1 channels \['T1'\]: pass"),
        (lambda s: None, ["--test-images", "nowhere"], r"nowhere: no such folder"),
        (
            lambda s: None,
            ["--classes", "tumor"],
            r"\nCase a: .*a\.mrk\.json, point 1: 'edema' in the name 'edema' is neither",
        ),
    ],
)
def test_bad_sources_are_refused(sources, capsys, spoil, options, message):
    spoil(sources)
    tests = ["--test-images", str(sources / "test"), "--test-masks", str(sources / "masks")]
    assert convert(sources, "--channel-names", "T1", "T2", *tests, *options) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (sources / "raw" / "Dataset009_Points").exists()


def test_channels_count_by_their_number(sources, capsys):
    """In training and test cases alike, and every bad case is listed."""
    (sources / "images" / "a_0001.nii.gz").rename(sources / "images" / "a_0002.nii.gz")
    (sources / "images" / "b_0000.nii.gz").rename(sources / "images" / "b_0002.nii.gz")
    (sources / "test" / "e_0001.nii.gz").rename(sources / "test" / "e_0002.nii.gz")
    assert convert(sources, "--channel-names", "T1", "T2", "--test-images", str(sources / "test")) == 2
    shown = capsys.readouterr().err
    assert "error: 3 of 5 cases cannot be converted" in shown
    assert "Case a lacks channel 0001 (found 0000, 0002): add the file" in shown
    assert "Case b lacks channel 0000 (found 0001, 0002): add the file" in shown
    assert "Case e lacks channel 0001 (found 0000, 0002): add the file" in shown
    assert not list(sources.glob("raw/*"))


def test_images_without_points_are_named(sources, capsys):
    (sources / "points" / "b.fcsv").unlink()
    assert convert(sources, "--channel-names", "T1", "T2") == 0
    assert "1 of 4 images have no points and are left out: ['b']" in capsys.readouterr().err


def test_cases_with_a_mask_learn_from_it(sources, capsys):
    """One case loses its points for a mask, another has both."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[3:9, 4:12, 5:15] = 2
    for case in "ab":
        write_image(mask, sources / "dense" / f"{case}.nii.gz")
    (sources / "points" / "a.mrk.json").unlink()
    options = ["--channel-names", "T1", "T2", "--masks", str(sources / "dense")]
    assert convert(sources, *options) == 0
    folder = sources / "raw" / "Dataset009_Points"
    labels = {case: read_array(folder / "labelsTr" / f"{case}.nii.gz") for case in "abcd"}
    assert (labels["a"] == mask).all()
    assert (labels["b"] == mask).all()
    assert 3 in labels["c"]
    cases = json.loads((folder / "paseg.json").read_text(encoding="utf-8"))["cases"]
    assert [cases[case]["annotation"] for case in "abcd"] == ["dense", "dense", "points", "points"]
    assert "left out" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda s: write_image(np.zeros(SHAPE, np.uint8), s / "dense" / "z.nii.gz"),
            r"Case z: .*images contains no image for z\.nii\.gz",
        ),
        (lambda s: write_image(np.full(SHAPE, 7, np.uint8), s / "dense" / "a.nii.gz"), r"Case a: .*values \[7"),
        (lambda s: None, r"dense: no such folder"),
    ],
)
def test_masks_that_do_not_fit_are_refused(sources, capsys, spoil, message):
    spoil(sources)
    assert convert(sources, "--channel-names", "T1", "T2", "--masks", str(sources / "dense")) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list((sources / "raw").glob("Dataset009_*"))


def test_a_class_without_target_is_named(sources, capsys):
    assert convert(sources, "--channel-names", "T1", "T2", "--seeds", "paper") == 0
    assert "Warning: no training case has seeds of class tumor: check the classes." in capsys.readouterr().out


def test_a_dataset_below_the_points_is_no_case(sources):
    """The same command succeeds again."""
    options = ["--channel-names", "T1", "T2", "--seeds", "paper", "--raw", str(sources / "points"), "--overwrite"]
    for _ in range(2):
        assert convert(sources, *options) == 0
    assert sorted(path.name for path in (sources / "points" / "Dataset009_Points" / "labelsTr").iterdir()) == [
        f"{case}.nii.gz" for case in "abcd"
    ]


def test_a_command_without_a_good_case_leaves_nothing_behind(sources, capsys):
    assert convert(sources, "--channel-names", "T1", "T2", classes=("liver",)) == 2
    assert "4 of 4 cases cannot be converted" in capsys.readouterr().err
    assert not list((sources / "raw").iterdir())
