"""A case is read when it is finished: all planned points are placed, and every class has been looked for."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_paseg.checking.check import check_folder, format_reports
from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.annotation import PLACES, Annotation, clicks_of, planned_clicks
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.annotation_file import write_annotation
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance
from tests.conftest import write_image
from tests.points.formats import clicks, writers

GRID = clicks.GRID
TUMORS = clicks_of([Instance("tumor", inside[None], outside) for inside, outside in clicks.TARGETS], GRID)
FIRST = TUMORS[:7]


def read(path, classes=("tumor", "edema"), grid=GRID):
    return read_points(path, grid, list(classes))


def rejection(path, **options):
    with pytest.raises(PasegError) as error:
        read(path, **options)
    assert str(path) in str(error.value)
    return str(error.value).replace(f"{path}, ", "", 1).replace(f"{path} ", "", 1)


@given(st.sets(st.sampled_from(range(7)), min_size=1, max_size=6), st.booleans())
def test_one_to_six_of_seven_points_name_the_others(tmp_path_factory, placed, second):
    planned = planned_clicks("tumor")
    points = [FIRST[n] if n in placed else planned[n] for n in range(7)]
    path = tmp_path_factory.mktemp("some") / "a.mrk.json"
    write_annotation(Annotation((*points, *(TUMORS[7:] if second else ())), ("edema",)), path)
    missing = [PLACES[n] for n in range(7) if n not in placed]
    verb = "is" if len(missing) == 1 else "are"
    assert rejection(path).startswith(f"tumor 1: {', '.join(missing)} {verb} not placed: click what is missing, or")


def test_a_finished_case_is_read(tmp_path):
    write_annotation(Annotation(TUMORS, ("edema",)), tmp_path / "a.mrk.json")
    assert clicks.canonical(read(tmp_path / "a.mrk.json")) == clicks.EXPECTED


def test_all_targets_are_named_at_once(tmp_path):
    points = (*FIRST[:6], planned_clicks("tumor")[6], *planned_clicks("tumor", 2), *planned_clicks("edema"))
    write_annotation(Annotation(points), tmp_path / "a.mrk.json")
    seven = ", ".join(PLACES)
    assert rejection(tmp_path / "a.mrk.json").startswith(
        f"tumor 1: superior is not placed; tumor 2: {seven} are not placed; edema 1: {seven} are not placed: click"
    )


@pytest.mark.parametrize("change", ["missing", "preview", "undefined", "deleted"])
def test_a_target_whose_points_have_sides_needs_all_of_them(tmp_path, change):
    content = writers.point_list([c.position for c in FIRST], [c.label for c in FIRST])
    if change == "deleted":
        del content["controlPoints"][3]
    else:
        content["controlPoints"][3]["positionStatus"] = change
    path = writers.save_markups(tmp_path / "a.mrk.json", content)
    assert rejection(path, classes=["tumor"]).startswith("tumor 1: anterior is not placed: click")


def test_a_single_slice_needs_five(tmp_path):
    grid = Grid((1, 30, 30), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    inside, around = np.array([[10.0, 10, 0]]), np.array([[6.0, 10, 0], [14, 11, 0], [10, 6, 0], [11, 14, 0]])
    placed = clicks_of([Instance("tumor", inside, around)], grid)
    for more in ((), planned_clicks("tumor")[5:]):
        write_annotation(Annotation((*placed, *more)), tmp_path / "a.mrk.json")
        (target,) = read(tmp_path / "a.mrk.json", classes=["tumor"], grid=grid)
        assert len(target.background) == 4
    write_annotation(Annotation(placed[:4]), tmp_path / "a.mrk.json")
    assert rejection(tmp_path / "a.mrk.json", classes=["tumor"], grid=grid).startswith("tumor 1: posterior is not")


def test_points_without_sides_are_named_by_their_labels(tmp_path):
    names = ["tumor 3 fg", *["tumor 3 bg"] * 5, "bg"]
    content = writers.point_list(clicks.POINTS[[6, *range(6)]], names)
    content["controlPoints"][6] |= {"position": "", "positionStatus": "undefined"}
    path = writers.save_markups(tmp_path / "a.mrk.json", content)
    assert rejection(path).startswith("bg is not placed: click what is missing")
    content["controlPoints"][6]["label"] = "tumor 3 bg"
    assert rejection(writers.save_markups(path, content)).startswith("tumor 3: tumor 3 bg is not placed: click")


def test_a_class_that_has_not_been_looked_for(tmp_path):
    path = tmp_path / "a.mrk.json"
    write_annotation(Annotation(FIRST), path)
    assert "has no target of class edema, and does not state that it is absent: look for it" in rejection(path)
    assert "add a point called 'edema absent'" in rejection(path, classes=["tumor", "edema", "necrosis"])
    # Without sides, only the classes with points are in a file, as in all files of older versions.
    writers.save_markups(path, writers.point_list(clicks.POINTS, ["tumor", *[""] * 13]))
    assert [target.class_name for target in read(path)] == ["tumor", "tumor"]


def test_absent_classes(tmp_path):
    path = tmp_path / "a.mrk.json"
    write_annotation(Annotation(absent=("tumor", "edema")), path)
    assert read(path) == []
    write_annotation(Annotation((*FIRST, *planned_clicks("edema")), ("edema",)), path)
    assert [target.class_name for target in read(path)] == ["tumor"]
    write_annotation(Annotation(FIRST, ("tumor", "edema")), path)
    with pytest.raises(PasegError, match=r"point 8 'tumor absent' states that class tumor is absent, but the case has"):
        read(path)
    placed = writers.point_list([[1, 2, 3], [4, 5, 6]], ["tumor absent", "edema absent"])
    assert read(writers.save_markups(path, placed)) == []
    unnamed = writers.point_list([[1, 2, 3]], ["absent"])
    assert read(writers.save_markups(path, unnamed), classes=["tumor"]) == []
    with pytest.raises(PasegError, match=r"point 1 'absent' does not name the class that is absent: call it 'tumor a"):
        read(path)


def test_a_folder_of_lists_of_which_one_is_absent(tmp_path):
    folder = tmp_path / "case_1"
    folder.mkdir()
    write_annotation(Annotation(FIRST), folder / "tumor_1.mrk.json")
    assert rejection(folder).startswith("has no target of class edema, and does not state")
    write_annotation(Annotation(absent=("edema",)), folder / "edema_absent.mrk.json")
    assert [target.class_name for target in read(folder)] == ["tumor"]
    # A list that is called so, with any point in it.
    writers.save_markups(folder / "edema_absent.mrk.json", writers.point_list([[1, 2, 3]], ["F-1"]))
    assert [target.class_name for target in read(folder)] == ["tumor"]


def test_check_and_conversion_name_the_case(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    images, points = tmp_path / "images", tmp_path / "points"
    points.mkdir()
    rng = np.random.default_rng(0)
    for case in ("case_6", "case_7"):
        write_image(rng.normal(size=GRID.shape).astype(np.float32), images / f"{case}.nii.gz", GRID.spacing_mm)
    at_zero = Grid(GRID.shape, GRID.spacing_mm, (0.0, 0.0, 0.0), GRID.direction)
    moved = [Instance("tumor", i[None] - GRID.origin, o - GRID.origin) for i, o in clicks.TARGETS]
    finished = clicks_of(moved, at_zero)
    write_annotation(Annotation(finished), points / "case_6.mrk.json")
    write_annotation(Annotation((*finished[:6], *planned_clicks("tumor")[6:])), points / "case_7.mrk.json")
    good, bad = check_folder(images, points, ["tumor"])
    assert good.problems == []
    message = f"{points / 'case_7.mrk.json'}, tumor 1: superior is not placed: click what is missing"
    assert bad.problems[0].startswith(message)
    assert message in format_reports([good, bad])
    convert = ["convert", "folder", str(images), str(points), "7", "--classes", "tumor", "--num-processes", "1"]
    assert main([*convert, "--seeds", "paper"]) == 2
    assert f"Case case_7: {message}" in capsys.readouterr().err
    shutil.copy(points / "case_6.mrk.json", points / "case_7.mrk.json")
    assert main([*convert, "--seeds", "paper"]) == 0
