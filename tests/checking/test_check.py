"""`paseg check`: what it finds, what it leaves alone, its table, its exit status and its pictures."""

import gzip
import re
import shutil

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.image import imread

from nnunet_paseg.checking.check import check_folder, draw_sheet, format_reports
from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import find_case_files
from nnunet_paseg.io.images import check_voxels, read_array
from nnunet_paseg.points.annotation_time import append_time
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.csv import write_csv
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance
from tests.points.formats import writers

SHAPE = (12, 24, 28)
VOXELS = np.array([[2, 10, 12], [9, 10, 12], [5, 5, 12], [5, 16, 12], [5, 10, 7], [5, 10, 18], [5, 10, 12]])


def save_image(path, seed=0, values=None, **header):
    if values is None:
        values = np.random.default_rng(seed).normal(100, 10, SHAPE).astype(np.float32)
        values[3:9, 6:16, 8:18] += 50
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(header.get("spacing", (1.0, 1.0, 2.0)))
    image.SetOrigin(header.get("origin", (40.0, 60.0, -30.0)))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return Grid.from_image(image)


@pytest.fixture
def folder(tmp_path):
    """Two cases that are as they should be, in one folder."""
    for seed, case in enumerate(("a", "b")):
        grid = save_image(tmp_path / "data" / f"{case}.nii.gz", seed)
        writers.save_markups(tmp_path / "data" / f"{case}.mrk.json", writers.point_list(grid.to_world(VOXELS)))
    return tmp_path / "data"


def points_of(folder, voxels, case="a", **options):
    grid = Grid.from_file(folder / f"{case}.nii.gz")
    return writers.save_markups(
        folder / f"{case}.mrk.json", writers.point_list(grid.to_world(np.asarray(voxels)), **options)
    )


def problems(folder, points=None, **options):
    reports = check_folder(folder, points or folder, options.pop("classes", ["target"]), **options)
    return [(report.case, problem) for report in reports for problem in report.problems]


def test_good_folders_are_good(folder, capsys):
    assert main(["check", str(folder), str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "case  voxels (z, y, x)  spacing mm          targets   result",
        "a     12 x 24 x 28      2.00 x 1.00 x 1.00  1 target  ok",
        "b     12 x 24 x 28      2.00 x 1.00 x 1.00  1 target  ok",
        "",
        "2 cases: 2 ok, 0 with problems",
    ]


def test_a_case_without_target_is_said(folder):
    (folder / "b.mrk.json").unlink()
    write_csv([], folder / "b.csv")
    assert format_reports(check_folder(folder, folder, ["target"])).endswith(
        "no target, all voxels will be background: b"
    )


def replace(low, high, axis):
    """The usual points, with the faces of one axis elsewhere."""
    voxels = VOXELS.copy()
    voxels[[2 * axis, 2 * axis + 1], axis] = low, high
    return voxels


@pytest.mark.parametrize(
    ("voxels", "options", "message"),
    [
        (
            VOXELS + np.array([20, 0, 0]),
            {},
            r"a\.mrk\.json: A point of an instance .* lies outside the image.*voxel \[25, 10, 12\]",
        ),
        (
            replace(6, 9, 0),
            {"labels": ["bg"] * 6 + ["fg"]},
            r"do not enclose its foreground point: voxel \[5, 10, 12\]",
        ),
        (replace(6, 9, 0), {}, r"of these 7 points of class 'target' one should be enclosed .* but none is"),
        (replace(4, 6, 0), {}, None),
        (VOXELS, {"labels": ["tumor"] * 7}, r"a\.mrk\.json, point 1: 'tumor' in the name 'tumor' is neither a class"),
        (
            [[0, 0, 0], [11, 23, 27], [5, 0, 12], [5, 23, 12], [5, 10, 0], [5, 10, 27], [5, 10, 12]],
            {},
            r"the box of an instance of class 'target' covers 100% of the image: do its points belong",
        ),
        (VOXELS[[0, 1, 2, 3, 4, 5, 0]], {"labels": ["bg"] * 6 + ["fg"]}, r"do not enclose"),
        (
            np.concatenate([VOXELS, VOXELS[6:]]),
            {"labels": ["bg"] * 6 + ["fg", "bg"]},
            r"are the same voxel \[5, 10, 12\]",
        ),
    ],
)
def test_points_that_do_not_fit(folder, voxels, options, message):
    points_of(folder, voxels, **options)
    found = problems(folder)
    if message is None:
        assert found == []
        return
    ((case, problem),) = found
    assert case == "a"
    assert re.search(message, problem)


def test_a_flat_box(folder):
    grid = save_image(folder / "a.nii.gz", 0, spacing=(3.0, 3.0, 0.5))
    voxels = replace(4, 6, 0)
    writers.save_markups(folder / "a.mrk.json", writers.point_list(grid.to_world(voxels)))
    ((case, problem),) = problems(folder)
    assert case == "a"
    assert "is flat, 0.500 x 30.0 x 30.0 mm (z, y, x): is a point on the wrong side" in problem


def test_swapped_lps_and_ras_are_said_and_corrected_elsewhere(folder, tmp_path, capsys):
    grid = Grid.from_file(folder / "a.nii.gz")
    path = writers.save_markups(folder / "a.mrk.json", writers.point_list(grid.to_world(VOXELS) * writers.RAS))
    before = path.read_bytes()
    (folder / "axes.txt").write_text("kji", encoding="utf-8")
    fixed = tmp_path / "fixed"
    assert main(["check", str(folder), str(folder), "--fix-lps", str(fixed)]) == 1
    shown = capsys.readouterr().out
    assert f"{path}: LPS and RAS are swapped; with the signs of x and y changed, all points fit: --fix-lps" in shown
    assert f"1 corrected; all point files are in {fixed}" in shown
    assert path.read_bytes() == before
    assert sorted(file.name for file in fixed.iterdir()) == ["a.csv", "axes.txt", "b.mrk.json"]
    assert (fixed / "b.mrk.json").read_bytes() == (folder / "b.mrk.json").read_bytes()
    (instance,) = read_points(fixed / "a.csv", grid, ["target"])
    assert grid.to_voxels(instance.foreground).tolist() == [[5, 10, 12]]
    assert main(["check", str(folder), str(fixed)]) == 0
    assert main(["check", str(folder), str(folder), "--fix-lps", str(fixed)]) == 2
    assert f"{fixed} exists already: name a new folder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csv", "box"])
def test_swapped_files_of_other_formats(folder, kind):
    grid = Grid.from_file(folder / "a.nii.gz")
    world = grid.to_world(VOXELS) * writers.RAS
    if kind == "csv":
        (folder / "a.mrk.json").unlink()
        write_csv([Instance("target", world[6:], world[:6])], folder / "a.csv")
    else:
        box = writers.roi(world[6], [10, 11, 12])
        writers.save_markups(folder / "a.mrk.json", box, writers.point_list(world[6:]))
    ((_, problem),) = problems(folder)
    assert "LPS and RAS are swapped" in problem


def test_images_that_cannot_be_used(folder):
    nan = read_array(folder / "a.nii.gz")
    nan[0, 0, :3] = np.nan
    save_image(folder / "a.nii.gz", values=nan)
    save_image(folder / "b.nii.gz", values=np.full(SHAPE, 7, dtype=np.int16))
    found = dict(problems(folder))
    assert found["a"].endswith("a.nii.gz contains 3 NaN or infinite voxels: repair it.")
    assert found["b"].endswith("b.nii.gz is 7 everywhere: export the image again")


def test_a_header_that_contradicts_itself_is_a_warning(folder, capsys):
    image = nibabel.load(folder / "b.nii.gz")
    affine = image.affine.copy()
    affine[2, 3] += 5
    image.set_qform(affine, code=1)
    nibabel.save(image, folder / "b.nii.gz")
    assert main(["check", str(folder), str(folder)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"b +warning: .*b\.nii\.gz: the sform and the qform of its header are 2\.5 voxels apart", shown)
    assert "2 cases: 2 ok" in shown


def test_truncated_images(folder, tmp_path):
    whole = (folder / "a.nii.gz").read_bytes()
    check_voxels(folder / "a.nii.gz")
    (folder / "a.nii.gz").write_bytes(whole[: len(whole) // 2])
    # What makes the check necessary: SimpleITK pads the rest.
    assert sitk.ReadImage(str(folder / "a.nii.gz")).GetSize() == SHAPE[::-1]
    ((case, problem),) = problems(folder)
    assert case == "a"
    assert "a.nii.gz is truncated or damaged (Compressed file ended before the end-of-stream marker" in problem
    raw = gzip.decompress(whole)
    for name, content in (("short.nii.gz", gzip.compress(raw[:-100])), ("short.nii", raw[:-100])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PasegError, match=rf"{name} is truncated or damaged \(.*\): copy or export it again"):
            check_voxels(tmp_path / name)
    (folder / "a.nii.gz").write_bytes(whole[:20])
    assert "a.nii.gz is truncated or damaged" in dict(problems(folder))["a"]


def test_channels(folder):
    (folder / "a.nii.gz").rename(folder / "a_0000.nii.gz")
    save_image(folder / "a_0001.nii.gz", 5, origin=(41.0, 60.0, -30.0))
    found = problems(folder, channels=2)
    assert [case for case, _ in found] == ["a", "b"]
    assert found[0][1].endswith("a_0000.nii.gz are on different grids: resample them to one grid")
    assert found[1][1] == "lacks channel 0001 (found 0000): add the file, or leave out the case"


def test_four_dimensional_images(folder):
    image = sitk.ReadImage(str(folder / "a.nii.gz"))
    sitk.WriteImage(sitk.JoinSeries([image, image]), str(folder / "a.nii.gz"))
    ((_, problem),) = problems(folder)
    assert "a.nii.gz: Expected a 3D image, got 4 dimensions" in problem
    assert "save each 3D volume as a file of its own" in problem


def test_label_maps_on_another_grid(folder, tmp_path):
    values = np.zeros(SHAPE, dtype=np.uint8)
    values[tuple(VOXELS.T)] = [1] * 6 + [2]
    points = tmp_path / "points"
    save_image(points / "a_7points.nii.gz", values=values)
    save_image(points / "b.nii.gz", values=values, origin=(0, 0, 0))
    ((case, problem),) = problems(folder, points)
    assert case == "b"
    assert problem.endswith("b.nii.gz is not on its image's grid: paint the points on the image itself.")


def test_missing_and_double_files(folder):
    (folder / "b.mrk.json").rename(folder / "c.mrk.json")
    shutil.copy(folder / "a.mrk.json", folder / "a.fcsv")
    found = dict(problems(folder))
    assert found["a"].startswith("Case a has 2 point files (a.fcsv, a.mrk.json): keep one, or move those that belong")
    assert found["b"].startswith("Case b has no points: add a point file named after the image, e.g. b.mrk.json")
    assert found["c"].startswith("there is no image for c.mrk.json: name it c.nii.gz, or name the points after")


def test_duplicates(folder):
    # Compressed anew: other bytes, the same image.
    content = gzip.decompress((folder / "a.nii.gz").read_bytes())
    (folder / "b.nii.gz").write_bytes(gzip.compress(content, 1))
    assert problems(folder) == [("b", "has the same image as a: keep one of them")]


@pytest.mark.parametrize(
    ("images", "points", "message"),
    [
        ("nowhere", "data", "nowhere: no such folder"),
        ("empty", "data", "empty contains no image: expected {case}.nii.gz"),
        ("data", "empty", "empty contains no points: expected {case} with one of .mrk.json"),
    ],
)
def test_folders_that_cannot_be_used(folder, tmp_path, capsys, images, points, message):
    (tmp_path / "empty").mkdir()
    assert main(["check", str(tmp_path / images), str(tmp_path / points)]) == 2
    assert message in capsys.readouterr().err


def test_which_files_belong_to_a_case(tmp_path):
    images, points = tmp_path / "images", tmp_path / "points"
    for folder, names in {
        images: ("p_2021.nii.gz", "q_0000.nrrd", "q_0001.nrrd", "r.nii", ".hidden.nii.gz", "notes.txt"),
        points: ("p_2021.kji.csv", "q_0000.fcsv", "r_7points.nii.gz", "axes.txt", "s/F.mrk.json", "old/notes.txt"),
    }.items():
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    found = {
        case.identifier: ([p.name for p in case.images], [p.name for p in case.points])
        for case in find_case_files(images, points)
    }
    assert found == {
        "p_2021": (["p_2021.nii.gz"], ["p_2021.kji.csv"]),
        "q": (["q_0000.nrrd", "q_0001.nrrd"], ["q_0000.fcsv"]),
        "r": (["r.nii"], ["r_7points.nii.gz"]),
        "s": ([], ["s"]),
    }


def test_contact_sheet(folder, tmp_path, monkeypatch):
    sheet = tmp_path / "check.png"
    reports = check_folder(folder, folder, ["target"])
    assert draw_sheet(reports, ["target"], sheet) == []
    picture = imread(sheet)
    # Two targets side by side, three panels each.
    assert picture.shape[1] > 4 * picture.shape[0]
    assert picture[..., :3].std() > 0.1
    monkeypatch.setattr("nnunet_paseg.plotting.contact_sheet.ROWS", 1)
    monkeypatch.setattr("nnunet_paseg.plotting.contact_sheet.BLOCKS", 1)
    sheet.unlink()
    draw_sheet(reports, ["target"], sheet)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["check.png", "check_2.png"]


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        ("check.xyz", r"check\.xyz: cannot be written as '\.xyz': use one of .*\.png"),
        ("check", r"check: cannot be written as '': use one of .*\.png"),
        ("missing/check.png", r"check\.png: the folder .*missing does not exist: create it first"),
    ],
)
def test_a_sheet_that_cannot_be_written_costs_no_work(folder, tmp_path, monkeypatch, capsys, sheet, message):
    monkeypatch.setattr("nnunet_paseg.checking.case.check_case", lambda *_, **__: pytest.fail("looked at a case"))
    assert main(["check", str(folder), str(folder), "--sheet", str(tmp_path / sheet)]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_views_are_upright_whatever_the_scan(folder):
    from nnunet_paseg.checking.contact_sheet import cut_blocks

    grid = Grid.from_file(folder / "a.nii.gz")
    (instance,) = read_points(folder / "a.mrk.json", grid, ["target"])
    image = sitk.ReadImage(str(folder / "a.nii.gz"))
    turned = sitk.DICOMOrient(image, "PSR")
    (block,), (other,) = (cut_blocks("a", i, [instance], ["target"]) for i in (image, turned))
    assert [view.title for view in block.views] == ["axial 5", "coronal 10", "sagittal 12"]
    for view, same in zip(block.views, other.views, strict=True):
        np.testing.assert_array_equal(view.pixels, same.pixels)
        np.testing.assert_allclose(view.box, same.box)
    axial = block.views[0]
    # Voxels 6..15 (y) and 8..17 (x) may belong to the target; their edges are half a voxel further out.
    assert axial.box == (5.5, 7.5, 10.0, 10.0)
    assert axial.points[0].tolist() == [10.0, 12.0]
    assert axial.kinds.tolist() == [[True, True], *[[False, False]] * 2, *[[False, True]] * 4]
    array = sitk.GetArrayFromImage(image)
    np.testing.assert_array_equal(axial.pixels, array[5])


def test_annotation_time_is_summed_up(folder, capsys):
    main(["check", str(folder), str(folder)])
    assert "annotation time" not in capsys.readouterr().out
    for case, seconds in (("a", 20), ("a", 10), ("b", 60)):
        append_time(folder, case, "target", 1, seconds)
    append_time(folder, "b", "target", 2, 36)
    assert main(["check", str(folder), str(folder)]) == 0
    assert (
        "annotation time: 2.1 min for 3 targets clicked in the browser, per target 42 s in the mean, 36 s in the median"
        in capsys.readouterr().out
    )
