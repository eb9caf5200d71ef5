"""Annotations that are written and read: whatever has been clicked so far."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.annotation import FOREGROUND, INSIDE, PLACES, Annotation, Click, planned_clicks
from nnunet_paseg.points.formats.annotation_file import check_labels, read_annotation, write_annotation
from nnunet_paseg.points.formats.mrk_json import read_mrk_json
from tests.points.formats import writers

CLASSES = ["tumor", "left_kidney", "kidney", "left", "Ödem 2"]
coordinates = st.floats(-1e4, 1e4)
positions = st.none() | st.tuples(coordinates, coordinates, coordinates)


@given(
    st.dictionaries(st.tuples(st.sampled_from(CLASSES[:4]), st.integers(1, 3)), st.tuples(*[positions] * 9)),
    st.booleans(),
)
def test_round_trip(tmp_path_factory, targets, fixed):
    places = [*PLACES, "foreground", "background"]
    clicks = [
        Click(name, number, place, position)
        for name, number in sorted(targets, key=lambda target: (CLASSES.index(target[0]), target[1]))
        for place, position in zip(places, targets[name, number], strict=True)
    ]
    annotation = Annotation(tuple(clicks), ("Ödem 2",))
    path = tmp_path_factory.mktemp("annotation") / "case.mrk.json"
    write_annotation(annotation, path, fixed=fixed)
    assert read_annotation(path, CLASSES) == annotation
    assert [entry.name for entry in path.parent.iterdir()] == ["case.mrk.json"]
    content = json.loads(path.read_text(encoding="utf-8"))["markups"][0]
    assert content["fixedNumberOfControlPoints"] is fixed
    assert len({point["id"] for point in content["controlPoints"]}) == len(clicks) + 1


def test_what_is_in_the_file(tmp_path):
    clicks = (Click("tumor", 1, INSIDE, (1.5, 2, 3)), Click("tumor", 1, "left"))
    write_annotation(Annotation(clicks, ("edema",)), tmp_path / "a.mrk.json")
    markups = read_mrk_json(tmp_path / "a.mrk.json")
    assert [(point.label, point.position.tolist()) for point in markups.points] == [("tumor 1 in", [1.5, 2, 3])]
    assert [(point.label, point.status) for point in markups.unplaced] == [
        ("tumor 1 out left", "undefined"),
        ("edema absent", "missing"),
    ]


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.mrk.json"
    write_annotation(Annotation(planned_clicks("tumor")), path)
    before = path.read_bytes()
    for value in (float("nan"), float("inf"), 1e300):
        with pytest.raises(PasegError, match=r"The point 'tumor 1 out left' has the coordinates"):
            write_annotation(Annotation((Click("tumor", 1, "left", (0, value, 0)),)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_first_point_inside_is_in_the_middle(tmp_path):
    names = ["tumor 1 bg", "tumor 1 fg", "tumor 1 fg", "tumor 2 fg", "tumor 2 in"]
    path = writers.save_markups(tmp_path / "a.mrk.json", writers.point_list([[n, 0, 0] for n in range(5)], names))
    places = [(click.number, click.place, click.position[0]) for click in read_annotation(path, ["tumor"]).clicks]
    assert places == [
        (1, INSIDE, 1),
        (1, FOREGROUND, 2),
        (1, "background", 0),
        (2, INSIDE, 4),
        (2, FOREGROUND, 3),
    ]


@pytest.mark.parametrize("label", ["F-1", "tumor", "in"])
def test_labels_without_class_and_role_are_rejected(tmp_path, label):
    path = writers.save_markups(tmp_path / "a.mrk.json", writers.point_list([[1, 2, 3]], [label]))
    with pytest.raises(PasegError, match=rf"a\.mrk\.json, point 1 '{label}': the label .* for example 'tumor 1 in'"):
        read_annotation(path, ["tumor"])


def test_boxes_are_rejected(tmp_path):
    path = writers.save_markups(tmp_path / "a.mrk.json", writers.roi([1, 2, 3], [4, 5, 6]))
    with pytest.raises(PasegError, match=r"markup 1 'R' is a box: an annotation has points only"):
        read_annotation(path, ["tumor"])


def test_classes_whose_labels_cannot_be_distinguished():
    check_labels(CLASSES)
    with pytest.raises(PasegError, match=r"'grade 1 in' of class 'grade' would be read as one of class 'grade 1'"):
        check_labels(["grade", "grade 1"])
