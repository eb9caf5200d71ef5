"""`--json`: one object on stdout and nothing else, with the keys of the page, also for an error."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from nnunet_paseg.cli import main
from nnunet_paseg.io.json_output import print_json
from tests.conftest import ROOT, write_image
from tests.expansion.conftest import write_case


def run(capsys, *arguments):
    """Run a command with --json and return its exit status and its object."""
    status = main([*map(str, arguments), "--json"])
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return status, json.loads(out, parse_constant=pytest.fail)


def documented(command, of=None):
    """Keys of a table of the page: the first one of a command, or the one of its parts."""
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## `paseg {command}`\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    (table,) = re.findall(rf"^\| key{f' of a {of}' if of else ''} \|.*\n\|.*\n((?:\|.*\n)+)", section, re.MULTILINE)
    return {key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1])}


@pytest.fixture
def clicked(tmp_path):
    for case in ("good", "bad"):
        write_case(tmp_path, case)
    (tmp_path / "points" / "bad.csv").write_text("x,y\n", encoding="utf-8")
    return tmp_path


def test_check(clicked, capsys):
    status, content = run(capsys, "check", clicked / "images", clicked / "points", "--classes", "tumor")
    assert status == 1
    assert set(content) == documented("check")
    assert set(content["cases"]["good"]) == documented("check", "case")
    good = content["cases"]["good"]
    assert (good["shape"], good["targets"], good["problems"]) == ([14, 20, 24], {"tumor": 1}, [])
    assert good["spacing_mm"] == pytest.approx([2.5, 1.1, 0.8])
    assert len(content["cases"]["bad"]["problems"]) == 1
    assert (content["num_ok"], content["num_bad"], content["sheet"]) == (1, 1, None)


def test_check_with_output_files(clicked, capsys):
    (clicked / "points" / "bad.csv").unlink()
    (clicked / "images" / "bad.nii.gz").unlink()
    outputs = ("--sheet", clicked / "sheet.png", "--fix-lps", clicked / "fixed")
    names = (clicked / "images", clicked / "points", "--classes", "tumor")
    status, content = run(capsys, "check", *names, *outputs)
    assert status == 0
    assert content["sheet"] == str(clicked / "sheet.png")
    assert content["corrected_points"] == str(clicked / "fixed")
    assert content["sheet_problems"] == []


def test_expand(clicked, capsys):
    names = (clicked / "images", clicked / "points", clicked / "out")
    status, content = run(capsys, "expand", *names, "--classes", "tumor", "--num-processes", "1")
    assert status == 2
    assert set(content) == documented("expand")
    assert set(content["cases"]) == {"good"}
    assert set(content["cases"]["good"]) == documented("expand", "case")
    (target,) = content["cases"]["good"]["targets"]
    assert set(target) == documented("expand", "target")
    assert set(content["problems"]) == {"bad"}
    assert content["sheet"] == [str(clicked / "out" / "contact_sheet.png")]


@pytest.fixture
def scored(tmp_path):
    mask = np.zeros((8, 8, 8), dtype=np.uint8)
    write_image(mask, tmp_path / "p" / "a.nii.gz")
    mask[2:5, 2:5, 2:5] = 1
    for file in ("p/b.nii.gz", "r/a.nii.gz", "r/b.nii.gz"):
        write_image(mask, tmp_path / file)
    return ("evaluate", "-p", tmp_path / "p", "-r", tmp_path / "r", "-l", "1", "-np", "1")


def test_evaluate(scored, capsys):
    status, content = run(capsys, *scored)
    assert status == 0
    assert set(content) == documented("evaluate") - {"error"}
    assert all(set(mean) == documented("evaluate", "mean") for mean in content["means"])
    assert all(set(row) == documented("evaluate", "row") for row in content["rows"])
    assert [(row["case"], row["dice"], row["hd95_mm"]) for row in content["rows"]] == [("a", 0, None), ("b", 1, 0)]
    assert [(mean["class"], mean["dice"]) for mean in content["means"]] == [("label 1", 0.5), ("foreground", 0.5)]


def test_evaluate_with_a_bad_case(scored, capsys):
    Path(scored[2], "a.nii.gz").write_bytes(b"no image")
    status, content = run(capsys, *scored)
    assert status == 2
    assert set(content) == documented("evaluate")
    assert (set(content["failures"]), content["means"]) == ({"a"}, [])
    assert content["error"].startswith("1 of 2 cases cannot be scored")


@pytest.mark.parametrize("command", ["check", "expand", "evaluate"])
def test_input_that_cannot_be_used(command, scored, tmp_path, capsys):
    shutil.rmtree(tmp_path / "r")
    folders = (tmp_path / "r", tmp_path / "r", *([tmp_path / "out"] if command == "expand" else []))
    status, content = run(capsys, *(scored if command == "evaluate" else (command, *folders)))
    assert status == 2
    assert list(content) == ["error"]
    assert str(tmp_path / "r") in content["error"]


def test_what_json_has_no_word_for(capsys):
    print_json({"numbers": (math.nan, [math.inf, np.float64(0.5)]), "path": Path("ä"), "cases": {1: {"x": -math.inf}}})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"numbers": [None, [None, 0.5]], "path": "ä", "cases": {"1": {"x": None}}}
