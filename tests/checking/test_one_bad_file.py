"""One bad file costs one line: any exception of a parser, figures that fail, consoles that cannot print a name."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnunet_paseg.checking.case import CaseReport
from nnunet_paseg.checking.check import check_folder, format_reports
from nnunet_paseg.checking.plausibility import format_mm
from nnunet_paseg.cli import main
from nnunet_paseg.io.case_files import CaseFiles
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.csv import write_csv
from nnunet_paseg.points.grid import Grid
from tests.checking.test_check import VOXELS, folder, points_of, problems, save_image

__all__ = ["folder"]
ONCE_PER_EXAMPLE = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEYS = st.sampled_from(["markups", "controlPoints", "position", "label", "type", "coordinateSystem", "orientation"])
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(VALUES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=4), max_leaves=12)


@ONCE_PER_EXAMPLE
@given(content=JSON)
def test_json_of_any_shape_costs_its_case_alone(folder, content):
    (folder / "b.mrk.json").write_text(json.dumps(content), encoding="utf-8")
    good, bad = check_folder(folder, folder, ["target"])
    assert (good.case, good.problems) == ("a", [])
    assert all("b.mrk.json" in problem for problem in bad.problems)
    assert bad.problems or not bad.targets


@ONCE_PER_EXAMPLE
@given(
    error=st.sampled_from([KeyError, RecursionError, MemoryError, OverflowError, AttributeError, TypeError, IndexError])
)
def test_any_exception_of_a_parser_is_a_problem_of_its_case(folder, error):
    def read(path, *arguments, **options):
        if path.name.startswith("b."):
            raise error("line 1\nline 2" * 1000)
        return read_points(path, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnunet_paseg.checking.case.read_points", read)
        found = problems(folder)
    ((case, problem),) = found
    assert case == "b"
    assert problem.startswith(f"{folder / 'b.mrk.json'} cannot be read ({error.__name__}: ")
    assert problem.endswith("): save or export it again.")
    assert "\n" not in problem
    assert len(problem) < len(str(folder)) + 300


def test_any_exception_after_reading_is_a_problem_of_its_case(folder, monkeypatch):
    def fail(instance, *_):
        raise OverflowError("no boxes today")

    monkeypatch.setattr("nnunet_paseg.checking.case.implausible", fail)
    found = problems(folder)
    assert [case for case, _ in found] == ["a", "b"]
    assert all("mrk.json cannot be read (OverflowError: no boxes today)" in problem for _, problem in found)


def test_the_table_comes_before_the_figure(folder, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise RuntimeError("no figure today")

    monkeypatch.setattr("nnunet_paseg.plotting.contact_sheet.contact_sheet", fail)
    assert main(["check", str(folder), str(folder), "--sheet", str(tmp_path / "check.png")]) == 2
    shown = capsys.readouterr()
    assert "2 cases: 2 ok" in shown.out
    assert "check.png: cannot be drawn (RuntimeError: no figure today); check without --sheet" in shown.err


def test_a_case_that_cannot_be_drawn_costs_one_line(folder, tmp_path, capsys, monkeypatch):
    from nnunet_paseg.checking.contact_sheet import cut_blocks

    def fail(case, *arguments):
        if case == "a":
            raise RuntimeError("no slices today")
        return cut_blocks(case, *arguments)

    monkeypatch.setattr("nnunet_paseg.checking.contact_sheet.cut_blocks", fail)
    assert main(["check", str(folder), str(folder), "--sheet", str(tmp_path / "check.png")]) == 1
    assert "a is not on the sheet: RuntimeError: no slices today" in capsys.readouterr().err
    assert (tmp_path / "check.png").exists()


@given(st.floats(1e-4, 1e3))
def test_lengths_have_three_significant_digits(length):
    text = format_mm([length])
    assert float(text) == pytest.approx(length, rel=5e-3)
    assert len(text.split("e")[0].replace(".", "").lstrip("0")) >= 3


def test_the_spacing_of_small_voxels_is_shown(folder):
    save_image(folder / "a.nii.gz", spacing=(0.0012, 0.0012, 0.005))
    assert "0.00500 x 0.00120 x 0.00120" in format_reports(check_folder(folder, folder, ["target"]))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corner=st.tuples(*[st.booleans()] * 3))
def test_a_foreground_point_in_a_corner_of_the_image_is_named(folder, corner):
    grid = Grid.from_file(folder / "a.nii.gz")
    voxel = np.where(corner, np.array(grid.shape) - 1, 0)
    points_of(folder, [*VOXELS, voxel], labels=["bg"] * 6 + ["fg"] * 2)
    found = [problem for case, problem in problems(folder) if case == "a"]
    text = f"voxel {voxel.tolist()} (z, y, x), is farther out than all others along every axis: was it placed"
    assert any(text in problem for problem in found)


def test_every_case_without_a_target_is_named_and_long_lists_are_cut(folder):
    (folder / "b.mrk.json").unlink()
    write_csv([], folder / "b.csv")
    lines = format_reports(check_folder(folder, folder, ["target"])).splitlines()
    assert lines[2].endswith("none      no target, all voxels will be background")
    many = [CaseReport(CaseFiles(f"case{number:03d}")) for number in range(1000)]
    shown = format_reports(many)
    assert shown.count("no target, all voxels will be background") == 1001
    assert shown.endswith("case008, case009 and 990 more")
    many[0].problems += [f"point {number}" for number in range(1000)]
    assert "and 990 more problems" in format_reports(many[:1])
    assert len(format_reports(many[:1]).splitlines()) < 20


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["tumor", " "], "A class has no name"),
        (["a", "a"], "a occurs twice"),
        (["ignore"], "ignore occurs twice, or is"),
    ],
)
def test_class_names_that_the_conversion_rejects(folder, capsys, classes, message):
    assert main(["check", str(folder), str(folder), "--classes", *classes]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_names_that_the_console_cannot_print(folder, encoding):
    for file in folder.glob("b.*"):
        file.rename(file.with_name(file.name.replace("b.", "\u8033B\u00fchler.", 1)))
    run = subprocess.run(
        [sys.executable, "-c", "from nnunet_paseg.cli import main; raise SystemExit(main())", "check", folder, folder],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert run.returncode == 0, run.stderr
    shown = "\u8033B\u00fchler".encode(encoding, "replace")
    assert shown in run.stdout
    assert b"2 cases: 2 ok" in run.stdout
