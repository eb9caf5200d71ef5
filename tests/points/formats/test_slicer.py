"""Files that 3D Slicer itself writes in the test, and files of this package that it opens and saves."""

import re
import shutil

import numpy as np
import pytest

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.annotation import PLACES, Annotation, Click, clicks_of, planned_clicks
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.annotation_file import read_annotation, write_annotation
from nnunet_paseg.points.instance import Instance
from nnunet_paseg.points.template import write_template
from tests.points.formats import clicks
from tests.points.formats.slicer_session import Session

FILES = ["a.mrk.json", "a.fcsv", "a.csv", "a.tsv"]
CLICKS = clicks_of([Instance("tumor", inside[None], outside) for inside, outside in clicks.TARGETS], clicks.GRID)
FIRST = np.array([click.position for click in CLICKS[:7]])


@pytest.fixture(scope="module")
def session():
    return Session()


@pytest.mark.parametrize("ras", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_clicked_lists(tmp_path, session, name, ras):
    path = session.save(session.new_list(clicks.POINTS), tmp_path / name, ras=ras)
    assert (re.search(r"\b(RAS|r)\b", path.read_text(encoding="utf-8")) is not None) is ras
    assert clicks.read(path) == clicks.EXPECTED


@pytest.mark.parametrize("name", FILES)
def test_templates_are_offered_in_turn_and_read_when_they_are_finished(tmp_path, session, name):
    node = session.open(write_template(tmp_path / "template", ["tumor"])[0])
    assert node.GetFixedNumberOfControlPoints()
    assert node.GetNthControlPointDescription(1) == "just outside, on the patient's left of the target"
    path = tmp_path / name
    for n, (place, position) in enumerate(zip(PLACES, FIRST, strict=True)):
        missing = f"a{path.name[1:]}, tumor 1: {', '.join(PLACES[n:])} {'is' if n == 6 else 'are'} not placed: click"
        assert missing in clicks.read(session.save(node, path))
        assert session.place_next(node, position) == Click("tumor", 1, place).label
    assert clicks.read(session.save(node, path)) == clicks.canonical([Instance("tumor", FIRST[:1], FIRST[1:])])


def test_points_that_are_cleared_again_or_skipped(tmp_path, session):
    node = session.new_list(FIRST, [click.label for click in CLICKS[:7]])
    node.UnsetNthControlPointPosition(6)
    node.SetNthControlPointPositionMissing(2)
    for name in FILES:
        message = clicks.read(session.save(node, tmp_path / name))
        assert f"{name}, tumor 1: right, superior are not placed" in message


def test_a_box_and_a_point_in_it(tmp_path, session):
    folder = tmp_path / "case"
    folder.mkdir()
    centre = clicks.GRID.to_world([10, 10, 10])[0]
    session.save(session.new_box(centre, (3.0, 9.0, 6.0)), folder / "R.mrk.json")
    session.save(session.new_list([centre]), folder / "F.csv")
    assert (folder / "F.schema.csv").is_file()
    (target,) = read_points(folder, clicks.GRID, ["tumor"])
    np.testing.assert_allclose(target.foreground, [centre], atol=1e-4)
    corners = clicks.GRID.to_indices(target.background).round(3)
    assert sorted(corners.tolist()) == [[7, 7, 7], [13, 13, 13]]


@pytest.mark.parametrize("name", ["a.mrk.json", "a.fcsv"])
def test_an_unfinished_annotation_survives_opening_and_saving(tmp_path, session, name):
    annotation = Annotation((*CLICKS[:5], *planned_clicks("tumor")[5:], *CLICKS[7:]), ("left kidney",))
    write_annotation(annotation, tmp_path / "b.mrk.json")
    node = session.open(tmp_path / "b.mrk.json")
    if name.endswith(".fcsv"):
        session.save(node, tmp_path / name)
        node = session.open(tmp_path / name)
    saved = session.save(node, tmp_path / "c.mrk.json")
    assert read_annotation(saved, ["tumor", "left kidney"]) == annotation
    with pytest.raises(PasegError, match=r"c\.mrk\.json, tumor 1: inferior, superior are not placed"):
        read_points(saved, clicks.GRID, ["tumor", "left kidney"])


def test_absent_classes_survive_opening_and_saving(tmp_path, session):
    lists = write_template(tmp_path / "template", ["tumor", "edema"])
    folder = tmp_path / "case"
    folder.mkdir()
    for suffix in (".mrk.json", ".fcsv", ".csv"):
        for path in (path for path in lists if "absent" in path.name):
            session.save(session.open(path), folder / f"{path.name.partition('.')[0]}{suffix}")
        assert read_points(folder, clicks.GRID, ["tumor", "edema"]) == []
        shutil.rmtree(folder)
        folder.mkdir()


def test_a_second_list_of_the_same_name(tmp_path, session):
    folder = tmp_path / "case"
    folder.mkdir()
    path = write_template(tmp_path / "template", ["tumor"])[0]
    session.open(path)
    node = session.open(path)
    for position in FIRST:
        session.place_next(node, position)
    session.save(node, folder / f"{node.GetName()}.mrk.json")
    assert node.GetName() != "tumor_1"
    assert len(read_points(folder, clicks.GRID, ["tumor"])) == 1
