"""Whatever a file contains, it is read or rejected with one message that names it."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points import formats
from nnunet_paseg.points.instance import place_on_grid
from tests.points.formats import clicks, writers

INSERTED = [bytes([byte]) for byte in b"\"',;\t\n\r\0{[]-#\xff"] + [b"9" * 5000, b'"' * 200000]
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=5,
)
KEYS = (
    "type",
    "coordinateSystem",
    "coordinateUnits",
    "controlPoints",
    "name",
    "size",
    "center",
    "orientation",
    "roiType",
)
POINT_KEYS = ("label", "position", "positionStatus")


def read_and_place(path):
    """Read a file as the conversion does; anything but a PasegError fails the test."""
    try:
        for instance in formats.read_points(path, clicks.GRID, ["tumor"]):
            place_on_grid(instance, clicks.GRID, {"tumor": 1})
    except PasegError:
        pass
    clicks.read(path)


@given(data=st.data(), name=st.sampled_from(list(clicks.FILES)), number=st.integers(1, 4))
@settings(max_examples=120, deadline=None)
def test_damaged_bytes(tmp_path_factory, data, name, number):
    path = clicks.FILES[name](tmp_path_factory.mktemp("damage") / name)
    content = bytearray(path.read_bytes())
    for _ in range(number):
        start = data.draw(st.integers(0, len(content)))
        new = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from(INSERTED)))
        content[start : start + data.draw(st.integers(0, 20))] = new
    path.write_bytes(bytes(content))
    read_and_place(path)


@given(key=st.sampled_from(KEYS), value=VALUES, point_key=st.sampled_from(POINT_KEYS), is_box=st.booleans())
@settings(max_examples=40, deadline=None)
def test_json_of_any_shape(tmp_path_factory, key, value, point_key, is_box):
    path = tmp_path_factory.mktemp("damage") / "a.mrk.json"
    markup = writers.roi([0, 20, 21], [3, 4, 5]) if is_box else writers.point_list(clicks.POINTS)
    point = {**markup["controlPoints"][0], point_key: value}
    markups = [{**markup, key: value}, {**markup, "controlPoints": [point]}, value, [markup]]
    for content in ({"markups": [markups[0]]}, {"markups": [markups[1]]}, {"markups": markups[2]}, value, markups):
        path.write_text(json.dumps(content), encoding="utf-8")
        read_and_place(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100000,
        '{"markups":' + "[" * 100000,
        '{"markups": [], "markups": [1]}',
        '{"markups": [{"type": "Fiducial", "controlPoints": [{"position": [' + "9" * 5000 + ", 1, 2]}]}]}",
        '{"markups": [{"type": "Fiducial", "controlPoints": [{"position": [1' + "0" * 400 + ", 1, 2]}]}]}",
        '{"markups": [{"type": "Fiducial", "controlPoints": [{"position": ["1", "2", "3"]}]}]}',
        '{"markups": [{"type": "Fiducial", "controlPoints": [{"position": [true, 2, 3]}]}]}',
        '{"markups": [{"type": "Fiducial", "controlPoints": [{"position": [1e300, 2, 3]}]}]}',
        '{"markups": [{"type": "ROI", "center": [1, 2, 3], "size": [1e300, 2, 3]}]}',
    ],
)
def test_markups_that_are_none(tmp_path, text):
    (tmp_path / "a.mrk.json").write_text(text, encoding="utf-8")
    assert isinstance(clicks.read(tmp_path / "a.mrk.json"), str)


def test_an_error_that_nobody_foresaw_names_the_file(tmp_path, monkeypatch):
    path = clicks.FILES["a.csv"](tmp_path / "a.csv")
    monkeypatch.setattr(formats, "read_table", lambda path: [][1])
    message = r"a\.csv cannot be read as points \(IndexError: list index out of range\): save the points again\.$"
    with pytest.raises(PasegError, match=message):
        formats.read_points(path, clicks.GRID, ["tumor"])


def test_a_file_of_gigabytes_is_not_read(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(1 << 31)
    assert "a.csv is larger than 16 MiB, so it is not a point file" in clicks.read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "text", ["tumor\n", '1 0 0 0 1 1 1 "tumor', '9999999999 0 0 0 1 1 1 "t"', '1 0 0 0 1 1 1 "a"\n1 0 0 0 1 1 1 "b"']
)
def test_label_descriptions_that_are_none(tmp_path, text):
    import SimpleITK as sitk

    image = sitk.Image([30, 30, 30], sitk.sitkUInt8)
    image.SetSpacing(clicks.GRID.spacing_mm[::-1])
    image.SetOrigin(clicks.GRID.origin)
    image[5, 5, 5] = 1
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    (tmp_path / "labels.txt").write_text(text, encoding="utf-8")
    with pytest.raises(PasegError, match=r"labels\.txt (contains no label descriptions in|has two names of the value)"):
        formats.read_points(tmp_path / "a.nii.gz", clicks.GRID, ["tumor"])


def test_a_message_lists_a_few_of_many_points(tmp_path):
    inside = clicks.POINTS[6] + np.random.default_rng(0).uniform(-0.4, 0.4, (1000, 3))
    many = np.concatenate([clicks.POINTS[:6], inside])
    message = clicks.read(writers.save_markups(tmp_path / "a.mrk.json", writers.point_list(many)))
    assert "one should be enclosed by the others" in message
    assert message.count("a.mrk.json, point") <= 5


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"label,l,p,s\n" + b"\r" * 10**6),
        ("a.csv", b"\r" * 10**6 + b"x"),
        ("a.csv", b"label,l,p,s\nF,1,2," + b"9" * 130000 + b"x\n"),
        ("a.csv", b",".join(b"c%d" % n for n in range(10**5))),
        ("a.fcsv", b"# CoordinateSystem = LPS" + b"," * 10**6 + b"x\n"),
        ("a.mrk.json", b"{" + b",".join(b'"%d": 1' % n for n in range(10**5)) + b', "99999": 1}'),
        ("a.mrk.json", json.dumps({"markups": [writers.point_list([[1, 2, 3]] * 10001)]}).encode()),
    ],
)
def test_no_reader_takes_quadratic_time(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    start = time.monotonic()
    assert isinstance(clicks.read(tmp_path / name), str)
    assert time.monotonic() - start < 10
