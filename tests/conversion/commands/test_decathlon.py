"""`paseg convert decathlon` on imitations of a 3D and of a 4D task."""

import json
import re

import nibabel
import numpy as np
import pytest

from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.conversion.sources import Channel
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.grid import Grid
from tests.conftest import load_script

SHAPE = (20, 16, 12)
# Oblique, flipped and anisotropic, as nibabel states it.
AFFINE = np.array([[-0.8, 0.6, 0, 12], [-0.6, -0.8, 0, -7], [0, 0, 2.5, 33], [0, 0, 0, 1]])


def task(folder, modality, number=4):
    """A task as the Decathlon packs it; voxels of channel n are around 100 (n + 1)."""
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[4:12, 4:12, 3:9] = 1
    mask[6:10, 6:10, 4:8] = 2
    names = [f"x_{n:03d}" for n in range(number + 1)]
    for sub in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / sub).mkdir(parents=True)
    for name in names:
        channels = [rng.normal(100 * (n + 1), 1, SHAPE) for n in range(len(modality))]
        values = np.stack(channels, axis=-1) if len(modality) > 1 else channels[0]
        sub = "imagesTs" if name == names[-1] else "imagesTr"
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), AFFINE), folder / sub / f"{name}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(mask, AFFINE), folder / "labelsTr" / f"{name}.nii.gz")
    (folder / "labelsTr" / f"{names[-1]}.nii.gz").unlink()
    # What macOS leaves in the archives.
    (folder / "imagesTr" / "._x_000.nii.gz").write_text("", encoding="utf-8")
    content = {
        "name": "X",
        "tensorImageSize": "4D" if len(modality) > 1 else "3D",
        "modality": {str(index): name for index, name in enumerate(modality)},
        "labels": {"0": "background", "1": "organ", "2": "lesion"},
        "numTraining": number,
        "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names[:-1]],
        "test": [f"./imagesTs/{names[-1]}.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def convert(source, raw, *options):
    script = load_script("from_decathlon")
    return run(
        script.main, script.build_parser(), [str(source), "12", "--raw", str(raw), "--num-processes", "1", *options]
    )


def test_a_3d_task(tmp_path):
    source = task(tmp_path / "Task09_Thing", ["CT"])
    assert convert(source, tmp_path / "raw", "--num-test", "1", "--official-test") == 0
    folder = tmp_path / "raw" / "Dataset012_Thing"
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert content["channel_names"] == {"0": "CT"}
    assert content["labels"] == {"background": 0, "organ": 1, "lesion": 2, "ignore": 3}
    assert content["numTraining"] == 3
    assert len(list((folder / "imagesTs").iterdir())) == 2
    assert len(list((folder / "labelsTs").iterdir())) == 1
    trained = min(path.name for path in (folder / "labelsTr").iterdir())
    image = folder / "imagesTr" / trained.replace(".nii.gz", "_0000.nii.gz")
    assert image.read_bytes() == (source / "imagesTr" / trained).read_bytes()


def test_a_4d_task(tmp_path):
    source = task(tmp_path / "Task01_Brain", ["FLAIR", "T1w", "t2"])
    assert convert(source, tmp_path / "raw") == 0
    folder = tmp_path / "raw" / "Dataset012_Brain"
    assert json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["channel_names"] == {
        "0": "FLAIR",
        "1": "T1w",
        "2": "t2",
    }
    original = np.asarray(nibabel.load(source / "imagesTr" / "x_002.nii.gz").dataobj)
    for channel in range(3):
        file = folder / "imagesTr" / f"x_002_{channel:04d}.nii.gz"
        np.testing.assert_array_equal(read_array(file), original[..., channel].T)
        np.testing.assert_allclose(nibabel.load(file).affine, AFFINE, atol=1e-5)
        header = Channel(source / "imagesTr" / "x_002.nii.gz", channel).grid()
        assert header.same_as(Grid.from_file(file))
    assert Grid.from_file(folder / "labelsTr" / "x_002.nii.gz").same_as(Grid.from_file(file))
    assert convert(source, tmp_path / "some", "--channels", "t2", "FLAIR", "--merge", "all") == 0
    some = tmp_path / "some" / "Dataset012_Brain"
    content = json.loads((some / "dataset.json").read_text(encoding="utf-8"))
    assert content["channel_names"] == {"0": "t2", "1": "FLAIR"}
    assert content["labels"] == {"background": 0, "all": 1, "ignore": 2}
    assert read_array(some / "imagesTr" / "x_000_0000.nii.gz").mean() == pytest.approx(300, abs=1)


def edit(folder, **changes):
    file = folder / "dataset.json"
    content = {
        key: value
        for key, value in {**json.loads(file.read_text(encoding="utf-8")), **changes}.items()
        if value is not None
    }
    file.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda s: (s / "dataset.json").unlink(), [], r"is no task of the Medical .*dataset\.json is missing"),
        (
            lambda s: (s / "dataset.json").write_text("{", encoding="utf-8"),
            [],
            r"dataset\.json is no JSON \(.*\): download the task again",
        ),
        (
            lambda s: edit(s, modality=None),
            [],
            r"expected the keys \['modality', 'labels', 'training'\], found \['labels', 'name', ",
        ),
        (lambda s: edit(s, channel_names={}), [], r"is an nnU-Net raw dataset: use `paseg convert dense`"),
        (lambda s: None, ["--channels", "T9"], r"no channel \['T9'\]: its channels are \['FLAIR', 'T1w'\]"),
        (
            lambda s: edit(s, modality={"0": "a", "1": "b", "2": "c"}),
            [],
            r"x_000\.nii\.gz: channel 2 of a 4D image is needed, but its size is \(20, 16, 12, 2\)",
        ),
        (lambda s: (s / "labelsTr" / "x_001.nii.gz").unlink(), [], r"Case x_001: .*labelsTr/x_001\.nii\.gz is missing"),
        (lambda s: None, ["--images", "link"], r"Case x_000: .*x_000\.nii\.gz cannot be used unchanged.*--images copy"),
    ],
)
def test_other_folders_are_refused(tmp_path, capsys, spoil, options, message):
    source = task(tmp_path / "Task01_Brain", ["FLAIR", "T1w"])
    spoil(source)
    assert convert(source, tmp_path / "raw", *options) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"0": "organ", "1": "lesion"}}, "the value 0 for background only"),
        ({"labels": {"0": "background", "1": "organ", "01": "lesion"}}, "labels of different names and values"),
        ({"training": {"image": "./a.nii.gz", "label": "./a.nii.gz"}}, "a list of training cases"),
        ({"test": "./imagesTs/t.nii.gz"}, "a list of test cases"),
    ],
)
def test_no_class_is_lost_and_no_case_is_made_up(tmp_path, changes, message, capsys):
    source = task(tmp_path / "Task09_Thing", ["CT"])
    content = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    (source / "dataset.json").write_text(json.dumps({**content, **changes}), encoding="utf-8")
    assert convert(source, tmp_path / "raw") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "raw" / "Dataset012_Thing").exists()
