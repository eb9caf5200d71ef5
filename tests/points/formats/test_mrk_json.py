import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.mrk_json import read_mrk_json
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance
from tests.points.formats import writers

GRID = Grid((30, 30, 30), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
CLASSES = ["tumor", "left kidney", "kidney", "Ödem"]
positions = st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 3), min_size=1, max_size=7)


@given(st.lists(st.tuples(st.sampled_from(CLASSES), positions, positions), min_size=1, max_size=4))
@settings(max_examples=40)
def test_round_trip(tmp_path_factory, written):
    instances = [Instance(name, np.array(inside), np.array(outside)) for name, inside, outside in written]
    content = writers.named_point_list(instances)
    path = writers.save_markups(tmp_path_factory.mktemp("json") / "case.mrk.json", content)
    read = read_points(path, GRID, CLASSES)
    assert [instance.class_name for instance in read] == [name for name, _, _ in written]
    for instance, (_, inside, outside) in zip(read, written, strict=True):
        np.testing.assert_allclose(instance.foreground, inside, atol=1e-5)
        np.testing.assert_allclose(instance.background, outside, atol=1e-5)


def test_points_that_were_not_placed_are_kept_apart(tmp_path):
    points = writers.point_list([[1, 2, 3]] * 4, coordinateUnits=["mm", "UCUM", "millimeter"])
    points["controlPoints"][1] |= {"position": "", "positionStatus": "undefined"}
    points["controlPoints"][2] |= {"positionStatus": "preview"}
    read = read_mrk_json(writers.save_markups(tmp_path / "a.mrk.json", points))
    assert [mark.label for mark in read.points] == ["F-1", "F-4"]
    assert read.points[1].where.endswith("point 4")
    assert [(point.label, point.status) for point in read.unplaced] == [("F-2", "undefined"), ("F-3", "preview")]


@pytest.mark.parametrize("system", ["LPS", "RAS"])
def test_a_box_has_its_axes_in_columns(tmp_path, system):
    turned = [0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1]
    (box,) = read_mrk_json(
        writers.save_markups(tmp_path / "a.mrk.json", writers.roi([1, 2, 3], [10, 2, 4], turned, system=system))
    ).boxes
    # Five millimetres along the first axis, (0.8, 0.6, 0) in LPS, is the box's end; across it is outside.
    assert box.contains(np.array([1 + 3.9, 2 + 2.9, 3]))
    assert not box.contains(np.array([1 + 3.9, 2 - 2.9, 3]))


def test_a_box_without_a_centre_has_it_in_its_control_point(tmp_path):
    content = writers.roi([1, 2, 3], [10, 2, 4])
    del content["center"], content["orientation"]
    (box,) = read_mrk_json(writers.save_markups(tmp_path / "a.mrk.json", content)).boxes
    assert box.centre.tolist() == [1, 2, 3]


def test_a_folder_of_lists_named_as_slicer_names_them(tmp_path):
    folder = tmp_path / "case_1"
    folder.mkdir()
    writers.save_markups(folder / "F.mrk.json", writers.point_list([[20, 20, 20]]))
    writers.save_markups(folder / "R.mrk.json", writers.roi([20, 20, 20], [6, 6, 6], name=""))
    around = np.array([[6, 10, 10], [14, 10, 10], [10, 6, 10], [10, 14, 10], [10, 10, 6], [10, 10, 14], [10, 10, 10]])
    writers.save_markups(folder / "tumor 2.mrk.json", writers.point_list(around))
    boxed, clicked = read_points(folder, GRID, ["tumor"])
    assert boxed.foreground.tolist() == [[20, 20, 20]]
    assert clicked.foreground.tolist() == [[10, 10, 10]]
    (tmp_path / "empty").mkdir()
    with pytest.raises(PasegError, match=r"empty contains no point file: add one of \.mrk\.json"):
        read_points(tmp_path / "empty", GRID, ["tumor"])


def test_an_empty_list_does_not_state_that_there_is_no_target(tmp_path):
    path = writers.save_markups(tmp_path / "a.mrk.json", writers.point_list([]))
    with pytest.raises(PasegError, match=r"a\.mrk\.json contains no placed point: place some\. If .* by a\.csv with"):
        read_points(path, GRID, ["tumor"])


def change(content, **changes):
    return {**content, **changes}


ONE = writers.point_list([[1, 2, 3]])
ROI = writers.roi([1, 2, 3], [4, 5, 6])


@pytest.mark.parametrize(
    ("markup", "message"),
    [
        (change(ONE, coordinateUnits="um"), r"a\.mrk\.json, markup 1 is in um, not in millimetres: save it in mm"),
        (change(ONE, coordinateSystem="IJK"), r"point 1: the coordinate system is 'IJK': save"),
        (change(ONE, controlPoints=[{"position": [1, 2]}]), r"point 1: 'position' is \[1, 2\], not 3 numbers: save"),
        (change(ONE, type="Line"), r"markup 1 is a 'Line', neither a point list nor an ROI box: delete it"),
        (change(ROI, roiType="Sphere"), r"an ROI must be a box that is not inside out, not 'Sphere': draw a box"),
        (change(ROI, size=[1, 2, 0]), r"markup 1 'R': a box needs a centre and three positive sizes"),
        (change(ROI, size=None), r"markup 1: 'size' is None, not 3 numbers"),
        (change(ROI, orientation=[1, 0, 0]), r"'orientation' is \[1, 0, 0\], not 9 numbers"),
    ],
)
def test_bad_markups_are_refused(tmp_path, markup, message):
    with pytest.raises(PasegError, match=message):
        read_mrk_json(writers.save_markups(tmp_path / "a.mrk.json", markup))


@pytest.mark.parametrize("content", ["{", "[]", '{"markups": [1]}', json.dumps({"points": []})])
def test_other_json_is_refused(tmp_path, content):
    (tmp_path / "a.mrk.json").write_text(content, encoding="utf-8")
    with pytest.raises(
        PasegError, match=r"a\.mrk\.json is not a markups file \(.*\): save the points from 3D Slicer again"
    ):
        read_mrk_json(tmp_path / "a.mrk.json")
