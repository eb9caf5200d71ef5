"""`paseg convert vs` on imitations of TCIA's folders and of the authors' own."""

import json
import re
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_paseg.conversion.commands import vs
from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.grid import Grid
from tests.conftest import load_script
from tests.dicom_files import write_series, write_structures

SHAPE = (14, 40, 48)
SERIES = "01-01-1994-NA-MRI Stereo Gamma Knife-{:05d}/{}.000000-{}-{:05d}"


def scan(seed, shape=SHAPE, spacing=(0.5, 0.5, 1.5)):
    """An image whose grid is turned a little, as a patient's head is."""
    values = np.random.default_rng(seed).normal(300, 20, shape)
    image = sitk.GetImageFromArray(np.clip(values, 0, 1000).astype(np.int16))
    image.SetSpacing(spacing)
    image.SetOrigin((-12.0 + seed, 5.0, -45.0))
    image.SetDirection((0.96, -0.28, 0.0, 0.28, 0.96, 0.0, 0.0, 0.0, 1.0))
    return image


def tumour(image, centre=(6, 18, 25), radius_mm=4.0):
    """Contours of a ball, one a slice, and the mask that they stand for."""
    grid = Grid.from_image(image)
    z, y, x = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    offsets = [(axis - c) * s for axis, c, s in zip((z, y, x), centre, grid.spacing_mm, strict=True)]
    away = np.sqrt(sum(offset**2 for offset in offsets))
    contours, angles = [], np.linspace(0, 2 * np.pi, 500, endpoint=False)
    for level in np.flatnonzero((away < radius_mm - 0.1).any(axis=(1, 2))):
        radius = np.sqrt(radius_mm**2 - ((level - centre[0]) * grid.spacing_mm[0]) ** 2)
        rows = centre[1] + radius * np.sin(angles) / grid.spacing_mm[1]
        columns = centre[2] + radius * np.cos(angles) / grid.spacing_mm[2]
        contours.append(grid.to_world(np.stack([np.full_like(rows, level), rows, columns], axis=1)))
    return contours, away, radius_mm


def tcia(folder, patients=(1, 2, 12), structures=None):
    """TCIA's "Descriptive Directory Name" layout: a T1 and a T2 series, each with its RT structures and a dose."""
    for patient in patients:
        root = folder / f"VS-SEG-{patient:03d}"
        for number, (description, seed) in enumerate({"t1_mpr_tra_1.5mm": 100, "t2_ci3d_tra_1.5mm_v1": 0}.items()):
            image = scan(seed + patient)
            place = root / SERIES.format(patient, number + 3, description, number)
            uid = write_series(image, place, description=description, number=10 * patient + number)
            if structures is not None:
                contours, _, _ = tumour(image)
                names = {name: contours if content is None else content for name, content in structures.items()}
                write_structures(root / f"study/1.000000-RTSTRUCT-{number}/1-1.dcm", uid, names)
    return folder


def write_labels(folder, patients, name):
    for patient in patients:
        image = scan(patient)
        _, away, radius = tumour(image)
        mask = sitk.GetImageFromArray((away < radius).astype(np.uint8))
        mask.CopyInformation(image)
        path = folder / name.format(patient)
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(mask, str(path))
    return folder


def write_contours(folder, patients):
    for patient in patients:
        contours, _, _ = tumour(scan(patient))
        content = [
            {"structure_name": "Cochlea", "LPS_contour_points": [(contours[0] + 3).tolist()]},
            {"structure_name": "TV", "LPS_contour_points": [contour.tolist() for contour in contours]},
            {"structure_name": "Vol2016", "LPS_contour_points": []},
        ]
        path = folder / f"vs_gk_{patient}_t2" / "contours.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return folder


def convert(source, raw, *options):
    script = load_script("from_vs")
    arguments = [str(source), "13", "--raw", str(raw), "--num-processes", "1"]
    return run(script.main, script.build_parser(), [*arguments, *map(str, options)])


def check_dataset(folder, patients):
    """Whole T2 volumes, with masks true to the ball."""
    assert json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["channel_names"] == {"0": "T2"}
    for patient in patients:
        image = scan(patient)
        file = folder / "imagesTr" / f"vs_gk_{patient}_0000.nii.gz"
        np.testing.assert_array_equal(read_array(file), sitk.GetArrayFromImage(image))
        assert Grid.from_file(file).same_as(Grid.from_image(image))
        mask = read_array(folder / "labelsTr" / f"vs_gk_{patient}.nii.gz")
        _, away, radius = tumour(image)
        assert (mask[away < radius - 0.01] == 1).all()
        assert (mask[away > radius + 0.01] == 0).all()


def test_masks_as_nifti(tmp_path):
    source = tcia(tmp_path / "Vestibular-Schwannoma-SEG")
    labels = write_labels(tmp_path / "labels", (1, 2, 12), "vs_gk_{}_Label.nii.gz")
    (tmp_path / "split.csv").write_text("vs_gk_1,training\nvs_gk_2,inference\nvs_gk_12,validation\n", encoding="utf-8")
    # The download's own folder will do as well.
    options = ["--labels", labels, "--split-csv", tmp_path / "split.csv"]
    assert convert(tmp_path, tmp_path / "raw", *options, "--dense") == 0
    folder = tmp_path / "raw" / "Dataset013_VS"
    check_dataset(folder, (1, 12))
    assert json.loads((folder / "splits_final.json").read_text(encoding="utf-8")) == [
        {"train": ["vs_gk_1"], "val": ["vs_gk_12"]}
    ]
    assert [path.name for path in (folder / "labelsTs").iterdir()] == ["vs_gk_2.nii.gz"]
    assert convert(source, tmp_path / "points", *options) == 0
    labels = read_array(tmp_path / "points" / "Dataset013_VS" / "labelsTr" / "vs_gk_1.nii.gz")
    assert set(np.unique(labels)) == {0, 1, 2}


def test_masks_as_contours_and_the_authors_folders(tmp_path):
    for patient in (1, 2):
        write_series(scan(patient), tmp_path / f"vs_gk_{patient}_t2", description="t2_ci3d", number=patient)
        write_series(scan(50), tmp_path / f"vs_gk_{patient}_t1", description="t1_mpr", number=patient + 50)
    labels = write_contours(tmp_path / "labels", (1, 2))
    assert convert(tmp_path, tmp_path / "raw", "--labels", labels, "--dense") == 0
    check_dataset(tmp_path / "raw" / "Dataset013_VS", (1, 2))


def test_masks_as_rt_structures(tmp_path):
    pytest.importorskip("pydicom")
    skull = [np.array([[0.0, 0, -45], [9, 0, -45], [0, 9, -45]])]
    source = tcia(tmp_path / "data", (1, 2), {"Skull": skull, "TV": None, "Cochlea": skull, "AN": skull})
    assert convert(source, tmp_path / "raw", "--dense") == 0
    check_dataset(tmp_path / "raw" / "Dataset013_VS", (1, 2))


def test_the_published_crop(tmp_path, monkeypatch):
    source = tcia(tmp_path / "data", (1,))
    labels = write_labels(tmp_path / "labels", (1,), "vs_gk_{0}/vs_gk_seg_refT2.nii.gz")
    assert vs.CROP == (48, 128, 128)
    monkeypatch.setattr(vs, "CROP", (20, 24, 30))
    assert convert(source, tmp_path, "--labels", labels, "--crop", "--dense") == 0
    folder = tmp_path / "Dataset013_VS"
    whole, cropped = scan(1), sitk.ReadImage(str(folder / "imagesTr" / "vs_gk_1_0000.nii.gz"))
    # All 14 slices; the tumour's bounding box is centred on (18, 25), so rows 6..29 and columns 10..39.
    assert json.loads((folder / "paseg.json").read_text(encoding="utf-8"))["cases"]["vs_gk_1"]["window"] == [
        [0, 14],
        [6, 30],
        [10, 40],
    ]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(cropped), sitk.GetArrayFromImage(whole)[:, 6:30, 10:40])
    np.testing.assert_allclose(cropped.GetOrigin(), whole.TransformIndexToPhysicalPoint((10, 6, 0)), atol=1e-4)
    assert Grid.from_file(folder / "labelsTr" / "vs_gk_1.nii.gz").same_as(Grid.from_image(cropped))


def add_series(folder):
    write_series(scan(1), folder / "VS-SEG-001" / "study" / "again", description="t2_x", number=99)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda s: [path.rename(path.with_name(f"p{n}")) for n, path in enumerate(sorted(s.glob("VS-SEG-*")))],
            r"is not Vestibular-Schwannoma-SEG: expected folders VS-SEG-001, .*, found \['p0'\]",
        ),
        (
            add_series,
            r"Case vs_gk_1: .*VS-SEG-001 contains 2 MR series with 't2_' in the SeriesDescription, expected one; found "
            r"\['MR t1_mpr_tra_1\.5mm', 'MR t2_ci3d_tra_1\.5mm_v1', 'MR t2_x'\]",
        ),
        (
            lambda s: sorted(next(s.glob("*/*/*t2_*")).iterdir())[4].unlink(),
            r"Case vs_gk_1: .* slices \d+ and \d+ of 13 are 3 mm apart, all others 1\.5 mm: slices are missing",
        ),
        (
            lambda s: [file.unlink() for file in next(s.glob("*/*/*t2_*")).iterdir()],
            r"contains 0 MR series with 't2_' .*found \['MR t1_mpr_tra_1\.5mm'\]",
        ),
        (
            lambda s: (s.parent / "labels" / "vs_gk_1_Label.nii.gz").rename(s.parent / "labels" / "1.nii.gz"),
            r"Case vs_gk_1: .*labels contains no mask of vs_gk_1: expected one of \['vs_gk_1_Label\.nii\.gz', ",
        ),
    ],
)
def test_other_folders_are_refused(tmp_path, capsys, spoil, message):
    source = tcia(tmp_path / "data", (1,))
    labels = write_labels(tmp_path / "labels", (1,), "vs_gk_{}_Label.nii.gz")
    spoil(source)
    assert convert(source, tmp_path / "raw", "--labels", labels) == 2
    assert re.search(message, capsys.readouterr().err)


def test_contours_of_something_else_are_refused(tmp_path, capsys):
    source, labels = tcia(tmp_path / "data", (1,)), write_contours(tmp_path / "labels", (1,))
    file = labels / "vs_gk_1_t2" / "contours.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    for spoiled, options, message in [
        (content[::2], [], r"contours\.json contains no contours of a structure called .*\['Cochlea', 'Vol2016'\]"),
        (content, ["--structure", "Vol2016"], r"no contours of a structure called 'Vol2016', only"),
        (
            [{"name": "TV"}],
            [],
            r"contours\.json contains no contours \(KeyError: 'structure_name'\): expected a list",
        ),
        (
            [{"structure_name": "an", "LPS_contour_points": [[[900, 0, 0], [909, 0, 0], [900, 9, 0]]]}],
            [],
            r"contours\.json, structure 'an': None of the 1 contours contains the centre of a voxel",
        ),
    ]:
        file.write_text(json.dumps(spoiled), encoding="utf-8")
        assert convert(source, tmp_path / "raw", "--labels", labels, *options) == 2
        assert re.search(message, capsys.readouterr().err)


def test_rt_structures_take_pydicom(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    source = tcia(tmp_path / "data", (1,))
    (source / "VS-SEG-001" / "study").mkdir()
    (source / "VS-SEG-001" / "study" / "1-1.dcm").write_bytes(b"\0" * 128 + b"DICM")
    assert convert(source, tmp_path / "raw") == 2
    assert "requires pydicom: pip install pydicom (or use masks as NIfTI files)" in capsys.readouterr().err


def test_missing_rt_structures_are_named(tmp_path, capsys):
    assert convert(tcia(tmp_path / "data", (1,)), tmp_path / "raw") == 2
    assert "VS-SEG-001 contains no RT structures of its T2 image" in capsys.readouterr().err
