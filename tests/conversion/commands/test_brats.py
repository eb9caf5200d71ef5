"""`paseg convert brats` on imitations of the folders of three years."""

import json
import re

import numpy as np
import pytest

from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.io.images import read_array
from tests.conftest import load_script, write_image

SHAPE = (12, 16, 20)
LAYOUTS = {
    2019: [f"HGG/BraTS19_2013_{n}_1" for n in range(3)] + ["LGG/BraTS19_TCIA09_177_1"],
    2020: [f"BraTS20_Training_{n:03d}" for n in range(1, 5)],
    2021: [f"BraTS2021_{n:05d}" for n in range(4)],
}


def brats(folder, year=2019, ending=".nii.gz"):
    """Four cases of a year; voxels of channel number n are around 100 n, so that mix-ups show."""
    rng = np.random.default_rng(year)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[3:9, 4:12, 4:12] = 2
    mask[4:8, 6:11, 6:11] = 4
    mask[5:7, 7:9, 7:9] = 1
    for case in LAYOUTS[year]:
        name = case.rpartition("/")[2]
        for number, channel in enumerate(("flair", "t1", "t1ce", "t2"), start=1):
            values = rng.normal(100 * number, 1, SHAPE).astype(np.float32)
            write_image(values, folder / case / f"{name}_{channel}{ending}")
        write_image(mask, folder / case / f"{name}_seg{ending}")
    return folder


def convert(source, raw, *options):
    script = load_script("from_brats")
    return run(
        script.main, script.build_parser(), [str(source), "11", "--raw", str(raw), "--num-processes", "1", *options]
    )


@pytest.mark.parametrize(("year", "ending"), [(2019, ".nii.gz"), (2020, ".nii"), (2021, ".nii.gz")])
def test_all_channels_and_sub_regions(tmp_path, year, ending):
    assert convert(brats(tmp_path / "data", year, ending), tmp_path / "raw", "--num-test", "1") == 0
    folder = tmp_path / "raw" / "Dataset011_BraTS"
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert content["channel_names"] == {"0": "FLAIR", "1": "T1", "2": "T1ce", "3": "T2"}
    assert content["labels"] == {"background": 0, "necrosis": 1, "edema": 2, "enhancing": 3, "ignore": 4}
    assert content["numTraining"] == 3
    for split, number in (("Tr", 3), ("Ts", 1)):
        cases = sorted(path.name.removesuffix(".nii.gz") for path in (folder / f"labels{split}").iterdir())
        assert len(cases) == number
        assert set(cases) <= {case.rpartition("/")[2] for case in LAYOUTS[year]}
        for channel in range(4):
            values = read_array(folder / f"images{split}" / f"{cases[0]}_{channel:04d}.nii.gz")
            assert values.mean() == pytest.approx(100 * (channel + 1), abs=1)
    test = read_array(folder / "labelsTs" / f"{cases[0]}.nii.gz")
    assert np.bincount(test.ravel())[1:].tolist() == [8, 6 * 8 * 8 - 100, 92]


def test_the_published_setting(tmp_path):
    source = brats(tmp_path / "data")
    names = [case.rpartition("/")[2] for case in LAYOUTS[2019]]
    (tmp_path / "split.csv").write_text(
        f"{names[0]},training\n{names[1]},validation\n{names[3]},inference\n", encoding="utf-8"
    )
    options = ["--channels", "flair", "--merge", "tumor", "--split-csv", str(tmp_path / "split.csv")]
    assert convert(source, tmp_path / "raw", *options, "--unlisted", "test") == 0
    folder = tmp_path / "raw" / "Dataset011_BraTS"
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert content["channel_names"] == {"0": "FLAIR"}
    assert content["labels"] == {"background": 0, "tumor": 1, "ignore": 2}
    assert json.loads((folder / "splits_final.json").read_text(encoding="utf-8")) == [
        {"train": [names[0]], "val": [names[1]]}
    ]
    assert sorted(path.name for path in (folder / "labelsTs").iterdir()) == [f"{n}.nii.gz" for n in names[2:]]
    assert set(np.unique(read_array(folder / "labelsTr" / f"{names[1]}.nii.gz"))) == {0, 1, 2}
    whole = read_array(folder / "labelsTs" / f"{names[2]}.nii.gz")
    assert (whole == 1).sum() == 6 * 8 * 8
    # The dense twin, and dense masks for validation only.
    assert convert(source, tmp_path / "twin", *options, "--unlisted", "skip", "--dense") == 0
    assert convert(source, tmp_path / "half", *options, "--unlisted", "skip", "--dense-validation") == 0
    for raw, dense in (("twin", names[:2]), ("half", names[1:2])):
        folder = tmp_path / raw / "Dataset011_BraTS"
        for name in names[:2]:
            holds_ignore = (read_array(folder / "labelsTr" / f"{name}.nii.gz") == 2).any()
            assert holds_ignore == (name not in dense)


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda s: (s / "HGG").rename(s / "high"), [], None),
        (
            lambda s: [folder.rename(folder.with_name(f"BraTS-GLI-{n}")) for n, folder in enumerate(s.glob("*/*"))],
            [],
            r"is not BraTS 2019, 2020 or 2021: expected folders BraTS19_.*, found \['HGG', 'LGG'\]",
        ),
        (
            lambda s: next(s.glob("LGG/*/*_seg.nii.gz")).rename(s / "LGG/BraTS19_TCIA09_177_1/W39_Segm.nii.gz"),
            [],
            r"Case BraTS19_TCIA09_177_1: .* lacks BraTS19_TCIA09_177_1_seg\.nii\.gz, found \['BraTS19.*'W39_Segm\.nii",
        ),
        (lambda s: None, ["--split-csv", "x", "--num-test", "1"], "leave out --num-train, --num-test and"),
    ],
)
def test_other_folders_are_refused(tmp_path, capsys, spoil, options, message):
    source = brats(tmp_path / "data")
    spoil(source)
    assert convert(source, tmp_path / "raw", *options) == (2 if message else 0)
    if message:
        assert re.search(message, capsys.readouterr().err)
