"""Resuming: finished cases are kept, and results of different options are never mixed."""

import json
import os
import re

import pytest

from nnunet_paseg.points.grid import Grid
from nnunet_paseg.seeds.learned.weights import load_expander, weights_bytes
from tests.expansion.conftest import CENTRE, contents, expand, write_case, write_points

pytestmark = pytest.mark.usefixtures("no_sheet")


@pytest.fixture
def folder(tmp_path):
    write_case(tmp_path, "a")
    write_case(tmp_path, "b")
    assert expand(tmp_path) == 0
    return tmp_path


@pytest.fixture
def expanded(monkeypatch):
    """Cases that are expanded from now on."""
    from nnunet_paseg.expansion import workers

    cases, expand_case = [], workers.expand_case
    monkeypatch.setattr(
        workers, "expand_case", lambda files, output: (cases.append(files.identifier), expand_case(files, output))
    )
    return cases


def test_finished_cases_are_kept(folder, expanded, capsys):
    before = contents(folder / "out", "**/*.*")
    assert expand(folder) == 0
    assert expanded == []
    assert contents(folder / "out", "**/*.*") == before
    assert "2 cases, 2 targets" in capsys.readouterr().out


def test_changed_points_and_images_are_expanded_again(folder, expanded):
    before = contents(folder / "out")
    grid = Grid.from_file(folder / "images" / "a.nii.gz")
    write_points(folder, "a", ["tumor"], [CENTRE], grid, outside=1)
    assert expand(folder) == 0
    assert expanded == ["a"]
    after = contents(folder / "out")
    assert after["a.nii.gz"] != before["a.nii.gz"]
    assert after["b.nii.gz"] == before["b.nii.gz"]
    os.utime(folder / "images" / "b.nii.gz", ns=(0, 0))
    assert expand(folder) == 0
    assert expanded == ["a", "b"]


@pytest.mark.parametrize("lost", ["a.nii.gz", "records/a.json", "records/a.npz"])
def test_a_case_that_lacks_a_file_is_expanded_again(folder, expanded, lost):
    (folder / "out" / lost).unlink()
    assert expand(folder) == 0
    assert expanded == ["a"]
    assert (folder / "out" / lost).exists()


def test_the_order_of_the_axes_is_an_input(folder, expanded):
    (folder / "points" / "axes.txt").write_text("kji", encoding="utf-8")
    assert expand(folder) == 0
    assert expanded == ["a", "b"]


def other_weights(folder):
    expander = load_expander()
    path = folder / "other.pt"
    network = type(expander.network)(expander.network.features)
    path.write_bytes(weights_bytes(network, expander.layout))
    return path


@pytest.mark.parametrize("option", ["weights", "classes", "probabilities"])
def test_other_options_are_refused_or_redone_knowingly(folder, expanded, capsys, option):
    options = {
        "weights": ["--expander", str(other_weights(folder))],
        "classes": ["--classes", "tumor", "edema"],
        "probabilities": ["--probabilities"],
    }[option]
    before = contents(folder / "out", "**/*.*")
    assert expand(folder, *options) == 2
    message = r"out contains masks of other options \(.*, now .*\): name a new folder, or pass --overwrite"
    assert re.search(message, capsys.readouterr().err)
    assert expanded == []
    assert contents(folder / "out", "**/*.*") == before
    assert expand(folder, *options, "--overwrite") == 0
    assert expanded == ["a", "b"]
    assert expand(folder, *options) == 0
    assert expanded == ["a", "b"]


def test_overwrite_leaves_nothing_of_other_options(folder):
    assert expand(folder, "--probabilities", "--overwrite") == 0
    assert len(contents(folder / "out", "probabilities/*")) == 2
    (folder / "images" / "b.nii.gz").unlink()
    (folder / "points" / "b.csv").unlink()
    assert expand(folder, "--overwrite") == 0
    assert [*contents(folder / "out")] == ["a.nii.gz"]
    assert [*contents(folder / "out", "records/*")] == ["records/a.json", "records/a.npz"]


def test_a_part_keeps_the_cases_of_the_others_when_it_overwrites(folder, expanded):
    for part in ("0", "1"):
        assert expand(folder, "--probabilities", "--overwrite", "--num-parts", "2", "--part-id", part) == 0
    assert expanded == ["a", "b"]
    assert len(contents(folder / "out")) == 4


def test_a_record_cannot_name_files_elsewhere(folder):
    precious = folder / "precious.nii.gz"
    precious.write_bytes(b"")
    record = folder / "out" / "records" / "a.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    content |= {"options": "", "probabilities": ["../../precious.nii.gz", str(precious)]}
    record.write_text(json.dumps(content), encoding="utf-8")
    assert expand(folder, "--overwrite") == 0
    assert precious.exists()


def test_masks_of_cases_that_are_gone_are_named(folder, capsys):
    (folder / "images" / "b.nii.gz").unlink()
    (folder / "points" / "b.csv").unlink()
    assert expand(folder) == 0
    out = capsys.readouterr().out
    assert "Masks of cases that are no longer there: b." in out
    assert "1 case, 1 target" in out


def test_a_case_that_became_bad_has_no_mask_of_earlier_points(folder, capsys):
    (folder / "points" / "a.csv").write_text("not,points\n1,2\n", encoding="utf-8")
    assert expand(folder) == 2
    assert "Case a: " in capsys.readouterr().err
    assert [*contents(folder / "out")] == ["b.nii.gz"]
