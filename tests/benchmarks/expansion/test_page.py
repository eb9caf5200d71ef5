"""The commands, on small data: records, page and figures."""

import json

import pytest

from benchmarks.expansion import datasets, pictures, records, studies
from benchmarks.expansion.__main__ import main
from benchmarks.expansion.page import page
from benchmarks.expansion.pictures import NUMBER, Shown, choose
from benchmarks.expansion.records import read_results, replaced
from tests.benchmarks.expansion.scene import cube_target, write_dataset


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return a folder with a small dataset, and write results elsewhere."""
    monkeypatch.delenv("PASEG_TEST_DATA", raising=False)
    monkeypatch.setattr(datasets, "read_halves", lambda: {"Dataset900_A": {"choose": ["a"], "report": ["b"]}})
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    write_dataset(tmp_path / "data" / "Dataset900_A", "ab")
    return tmp_path / "data"


def test_the_command_on_phantoms(tmp_path, data, capsys):
    output = tmp_path / "values.json"
    assert main(["--methods", "paper", "--draws", "1", "--json", str(output)]) == 0
    assert "| ring (2) | paper |" in capsys.readouterr().out
    [entry] = json.loads(output.read_text(encoding="utf-8"))
    assert entry["command"] == "python -m benchmarks.expansion --methods paper --draws 1 --json values.json"
    assert entry["revision"]
    assert (entry["cases"], entry["method"], entry["weights"]) == ("phantoms", "paper", None)
    assert [row["kind"] for row in entry["rows"]][-1] == "two lobes"
    assert not (tmp_path / "expansion.json").exists()


def test_a_record_becomes_a_page_and_figures(tmp_path, data):
    for half in ("choose", "report"):
        arguments = [str(data), "--half", half, "--methods", "learned", "paper", "--draws", "1", "--record"]
        assert main(arguments) == 0
    assert studies.main([str(data), "--draws", "1"]) == 0
    picture = tmp_path / "expansion_targets.png"
    assert pictures.main([str(data), "--output", str(picture)]) == 0
    assert main([str(data), "--methods", "learned", "--draws", "1", "--record"]) == 0
    text = (tmp_path / "expansion.md").read_text(encoding="utf-8")
    assert text.index("## Reporting half") < text.index("## Choosing half") < text.index("## Studies")
    assert "    python -m benchmarks.expansion DATA --half report --methods learned paper --draws 1 --record\n" in text
    assert str(data) not in text
    assert text.count("| cube (1) | learned |") == text.count("| cube (1) | paper |") == 2
    for study in studies.STUDIES:
        assert f"### {study.title}\n" in text
    for name in ("reliability", "curves", "targets"):
        assert f"![](expansion_{name}.png)" in text
        assert (tmp_path / f"expansion_{name}.png").stat().st_size > 5_000


def test_a_later_measurement_replaces_an_earlier_one():
    entries = [{"cases": "choose", "method": "learned", "rows": 1}, {"cases": "report", "method": "learned", "rows": 2}]
    new = {"cases": "choose", "method": "learned", "rows": 3}
    assert replaced(entries, new) == [entries[1], new]


def test_an_empty_record(tmp_path):
    assert read_results(tmp_path) == {"measurements": [], "studies": None}
    assert "##" not in page(read_results(tmp_path))[5:]


def test_a_part_of_a_half_is_not_recorded(data, capsys):
    with pytest.raises(SystemExit):
        main([str(data), "--limit", "1", "--record"])
    assert "--record keeps whole halves: leave --limit out" in capsys.readouterr().err


@pytest.mark.parametrize("command", [main, studies.main, pictures.main])
def test_a_wrong_folder_is_an_error(tmp_path, command, capsys):
    assert command([str(tmp_path)]) == 2
    assert "contains no dataset" in capsys.readouterr().err


def test_the_worst_targets_are_shown_and_many_kinds():
    target = cube_target()
    found = [
        Shown(target.__class__("A", kind, f"{kind}_{index}", target.image, target.mask, target.spacing_mm), None, dice)
        for kind in ("one", "two", "three")
        for index, dice in enumerate((0.9, 0.8, 0.7, 0.1 if kind == "one" else 0.95, 0.6))
    ]
    chosen = choose(found, seed=0)
    assert len(chosen) == NUMBER
    assert [each.dice for each in chosen[:3]] == [0.1, 0.6, 0.6]
    assert sorted({each.target.kind for each in chosen[3:6]}) == ["one", "three", "two"]
    assert len({each.target.case for each in chosen}) == NUMBER
    assert [each.target.case for each in choose(found, seed=0)] == [each.target.case for each in chosen]
