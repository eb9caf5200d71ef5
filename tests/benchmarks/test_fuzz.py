"""A sample of the fuzz run, and what its trials call right and wrong."""

import pytest

from benchmarks.fuzz import processes, trial
from benchmarks.fuzz.__main__ import main, table
from benchmarks.fuzz.outcome import RIGHT, WRONG, Trial
from benchmarks.fuzz.trial import run_trial
from nnunet_paseg.errors import PasegError
from tests.benchmarks.crash_worker import crash_at_second


def test_a_sample_has_no_violations():
    results = list(processes.run_all({"points": 300, "images": 60}, seed=1, jobs=1))
    assert sorted((each.kind, each.number) for each in results) == [
        *(("images", number) for number in range(60)),
        *(("points", number) for number in range(300)),
    ]
    assert [each for each in results if each.outcome in WRONG] == []
    assert len({(each.format, each.mutation) for each in results}) > 50
    assert {each.outcome for each in results} == set(RIGHT)
    assert f"| **all** |  | {len(results)} |" in table(results, ["kind", "format"])


def test_a_trial_depends_on_its_seed_and_number_only(tmp_path):
    files = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        (tmp_path / name).mkdir()
        list(run_trial("points", seed, 3, tmp_path / name))
        files.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert files[0] == files[1] != files[2]


def misread(wrong):
    """Return a reader with an error of one kind."""

    def read(path, *args, **kwargs):
        if wrong == "traceback":
            raise KeyError("markups")
        if wrong == "unnamed":
            raise PasegError("There is no point.")
        return []

    return read


@pytest.mark.parametrize("wrong", ["different", "traceback", "unnamed"])
def test_a_broken_reader_is_found(wrong, monkeypatch):
    found = set()
    for number in range(20):
        started = run_trial("points", 1, number)
        next(started)  # the file is written, and read once before its mutation
        with monkeypatch.context() as patch:
            patch.setattr(trial, "read_points", misread(wrong))
            found.add(next(started).outcome)
    assert found == ({wrong, "any"} if wrong == "different" else {wrong})


def test_a_crash_costs_one_trial(monkeypatch):
    monkeypatch.setattr(processes, "work", crash_at_second)
    results = list(processes.run_all({"images": 4}, seed=0, jobs=2))
    found = [(each.number, each.outcome) for each in results]
    assert found == [(0, "message"), (1, "crash"), (2, "message"), (3, "message")]


def test_one_file_again(tmp_path, capsys):
    assert main(["--only", "points:7", "--seed", "1", "--keep", str(tmp_path / "kept")]) == 0
    *_, expected = run_trial("points", 1, 7)
    assert f"{expected.format}, {expected.mutation}: {expected.outcome}" in capsys.readouterr().out
    assert list((tmp_path / "kept").iterdir())


def test_a_violation_is_printed_with_its_command(tmp_path, monkeypatch, capsys):
    bad = Trial("images", 12, "nrrd", "truncation", "different", "[case.nrrd, byte 3]")
    monkeypatch.setattr("benchmarks.fuzz.__main__.run_all", lambda counts, seed, jobs: iter([bad]))
    assert main(["--points", "0", "--images", "1", "--seed", "9", "--output", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "python -m benchmarks.fuzz --seed 9 --only images:12 --keep FOLDER" in printed
    text = (tmp_path / "fuzz.md").read_text(encoding="utf-8")
    assert "python -m benchmarks.fuzz --points 0 --images 1 --seed 9" in text
    assert "| images | nrrd | truncation | 1 | 0 | 0 | 0 | 1 |" in text
