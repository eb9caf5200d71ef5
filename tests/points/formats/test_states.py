"""Only points that were placed count, in every spelling of their state, and a case with a planned one is unfinished."""

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.points.formats.slicer_tables import FALSE, TRUE
from tests.points.formats import clicks, writers

PLACED = ("1", "1.0", "1,0", "+1", *TRUE, *(word.upper() for word in TRUE))
NOT_PLACED = ("0", "0.0", "0,0", "-0", *FALSE, *(word.title() for word in FALSE))
UNKNOWN = ("", "2", "-1", "nan", "maybe", "tru", "0x1", "undefined", "<NA>")
STRAY = clicks.POINTS[6] + [3.0, -2.0, 1.0]
"""A point near the foreground point, which makes another target of seven clicks if it counts."""
cases = settings(max_examples=30, deadline=None)
states = st.lists(st.sampled_from(NOT_PLACED), min_size=1, max_size=3)


def with_strays(strays, placed):
    """Positions of all points in order, and their states."""
    every = [(p, placed) for p in clicks.POINTS]
    for n, state in enumerate(strays):
        every.insert(n * 5, (STRAY + n, state))
    return [position for position, _ in every], [state for _, state in every]


@given(placed=st.sampled_from(PLACED), strays=states)
@cases
def test_defined_in_tables(tmp_path_factory, placed, strays):
    positions, defined = with_strays(strays, placed)
    lines = [[f"F-{n}", *p, d] for n, (p, d) in enumerate(zip(positions, defined, strict=True), start=1)]
    path = tmp_path_factory.mktemp("states") / "a.csv"
    writers.save_table(path, ["label", "l", "p", "s", "defined"], lines)
    assert clicks.read(path) == clicks.EXPECTED
    writers.save_table(path, ["label", "l", "p", "s"], [line[:4] for line in lines[1:8]])
    assert len(clicks.read(path)) == 1
    lines[1] = ["tumor 1 out left", *lines[1][1:4], 0]
    writers.save_table(path, ["label", "l", "p", "s", "defined"], lines)
    assert re.search(r"a.csv, tumor 1: .*left.* not placed: click", clicks.read(path))


@given(unknown=st.sampled_from(UNKNOWN), row=st.integers(0, 13))
@cases
def test_an_unknown_state_is_rejected(tmp_path_factory, unknown, row):
    lines = [["F", *p, unknown if n == row else 1] for n, p in enumerate(clicks.POINTS)]
    path = tmp_path_factory.mktemp("states") / "a.csv"
    writers.save_table(path, ["label", "l", "p", "s", "defined"], lines)
    assert f"a.csv, line {row + 2}: 'defined' is '{unknown}': write 1 (placed) or 0" in clicks.read(path)


@given(strays=st.lists(st.sampled_from(["1", "3", "3.0"]), min_size=1, max_size=3), unknown=st.integers(4, 99))
@cases
def test_status_in_fcsv(tmp_path_factory, strays, unknown):
    positions, states = with_strays(strays, "2")
    path = writers.save_fcsv(tmp_path_factory.mktemp("states") / "a.fcsv", positions)
    lines = path.read_bytes().decode().split("\n")
    rows = [line.replace("\r,2,0", f",{s},0") for line, s in zip(lines[3:-1], states, strict=True)]
    path.write_text("\n".join([*lines[:3], *rows, ""]), encoding="utf-8")
    assert clicks.read(path) == clicks.EXPECTED
    planned = [*rows[:6], rows[6].rsplit(",", 2)[0] + ",0,0", *rows[7:]]
    path.write_text("\n".join([*lines[:3], *planned, ""]), encoding="utf-8")
    assert "a.fcsv, tumor: F-7 is not placed: click" in clicks.read(path)
    path.write_text("\n".join([*lines[:3], *rows, rows[0].rsplit(",", 2)[0] + f",{unknown},0", ""]), encoding="utf-8")
    assert f"the position status is '{unknown}', not one of (0, 1, 2, 3)" in clicks.read(path)
    # Before 3D Slicer 5, the file has no status: all points count.
    path.write_text("\n".join([*lines[:3], *(row.rsplit(",", 2)[0] for row in rows), ""]), encoding="utf-8")
    assert clicks.read(path) != clicks.EXPECTED


@given(strays=st.lists(st.sampled_from(["preview", "missing"]), min_size=1, max_size=3))
@cases
def test_status_in_json(tmp_path_factory, strays):
    positions, states = with_strays(strays, "defined")
    content = writers.point_list(positions)
    for point, state in zip(content["controlPoints"], states, strict=True):
        point["positionStatus"] = state
    path = writers.save_markups(tmp_path_factory.mktemp("states") / "a.mrk.json", content)
    assert clicks.read(path) == clicks.EXPECTED
    content["controlPoints"][6]["positionStatus"] = "undefined"
    writers.save_markups(path, content)
    assert "a.mrk.json, tumor: F-7 is not placed: click" in clicks.read(path)
    for unknown in ("skipped", "Placed", 2, None, True, ["defined"]):
        content["controlPoints"][0]["positionStatus"] = unknown
        path.write_text(json.dumps({"markups": [content]}), encoding="utf-8")
        assert f"point 1: the position status is '{unknown}', not one of" in clicks.read(path).replace('"', "'")


def test_a_placed_point_without_position_is_rejected(tmp_path):
    content = writers.point_list(clicks.POINTS)
    for position in ("", None, [], {}):
        content["controlPoints"][3] |= {"positionStatus": "defined", "position": position}
        path = writers.save_markups(tmp_path / "a.mrk.json", content)
        assert "point 4: 'position' is" in clicks.read(path)
    del content["controlPoints"][3]["position"], content["controlPoints"][3]["positionStatus"]
    assert "point 4: 'position' is" in clicks.read(writers.save_markups(path, content))
