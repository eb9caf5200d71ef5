"""What goes wrong around a conversion: bad cases, killed processes, full and read-only disks. Nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.conversion import case as case_module
from nnunet_paseg.conversion.convert import convert
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.conversion.sources import ImageFile
from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.rules import SeedParameters
from tests.conftest import write_image
from tests.conversion.test_convert import contents

PLAN = DatasetPlan("Dataset001_Many", ("MRI",), ("a",), mask_labels={1: 1}, seeds=SeedParameters(rule="paper"))
NAMES = tuple(f"case_{number}" for number in range(5))
SPOIL = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "text": lambda path: path.write_text("no image", encoding="utf-8"),
    "empty": lambda path: path.write_bytes(b""),
    "nan": lambda path: write_image(np.full((12, 12, 12), np.nan, np.float32), path),
    "other grid": lambda path: write_image(np.zeros((12, 12, 13), np.float32), path),
}


def write_cases(folder):
    rng = np.random.default_rng(0)
    for name in NAMES:
        mask = np.zeros((12, 12, 12), dtype=np.uint8)
        mask[3:8, 3:9, 2:7] = 1
        write_image((mask * 30 + rng.normal(100, 5, mask.shape)).astype(np.float32), folder / f"{name}.nii.gz")
        write_image(mask, folder / "masks" / f"{name}.nii.gz")
    return cases_in(folder)


def cases_in(folder):
    masks = (folder / "masks" / f"{name}.nii.gz" for name in NAMES)
    return [
        Case(name, (folder / f"{name}.nii.gz",), mask=mask, annotation="simulated")
        for name, mask in zip(NAMES, masks, strict=True)
    ]


def lines_of(cases, raw, **options):
    """The lines of the error; none if the conversion succeeds."""
    try:
        convert(cases, PLAN, raw, **{"num_processes": 1, **options})
    except PasegError as error:
        return str(error).splitlines()
    return []


@settings(max_examples=5)
@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(sorted(SPOIL)), min_size=1))
def test_every_bad_case_is_listed_and_the_others_are_kept(tmp_path_factory, bad):
    folder = tmp_path_factory.mktemp("cases")
    cases = write_cases(folder)
    whole = contents(convert(cases, PLAN, folder / "whole", num_processes=1))
    for name, how in bad.items():
        shutil.copy(folder / f"{name}.nii.gz", folder / f"{name}.good")
        SPOIL[how](folder / f"{name}.nii.gz")
    lines = lines_of(cases, folder / "raw")
    assert [line.split(":")[0] for line in lines[-len(bad) :]] == [f"Case {name}" for name in sorted(bad)]
    assert all(f"{name}.nii.gz" in line for name, line in zip(sorted(bad), lines[-len(bad) :], strict=True))
    if len(bad) > 1:
        assert lines[0].startswith(f"{len(bad)} of 5 cases cannot be converted.")
    assert not (folder / "raw" / PLAN.name).exists()
    kept = {path.stem for path in folder.glob("raw/.*.partial/records/*.json")}
    assert kept == set(NAMES) - bad.keys()
    for name in bad:
        shutil.move(folder / f"{name}.good", folder / f"{name}.nii.gz")
    assert lines_of(cases, folder / "raw") == []
    assert contents(folder / "raw" / PLAN.name) == whole


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        TypeError("two\nlines"),
        RecursionError(),
        MemoryError(),
        AssertionError("long" * 500),
        OSError(5, "io"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_parser_raises_is_a_problem_of_that_case(tmp_path, monkeypatch, error):
    cases = write_cases(tmp_path)
    simulate = case_module.simulate_points

    def fail(mask, *arguments):
        if case_module.simulate_points.calls == 2:
            case_module.simulate_points.calls += 1
            raise error
        case_module.simulate_points.calls += 1
        return simulate(mask, *arguments)

    fail.calls = 0
    monkeypatch.setattr(case_module, "simulate_points", fail)
    [line] = lines_of(cases, tmp_path / "raw")
    assert line.startswith("Case case_2: ")
    assert "case_2.nii.gz" in line or isinstance(error, OSError)
    assert len(line) < 400 + len(str(tmp_path))
    assert len(list(tmp_path.glob("raw/.*.partial/records/*.json"))) == 4


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("two\nlines"), RecursionError()], ids=lambda error: type(error).__name__
)
def test_whatever_a_reader_of_points_raises_names_the_file(tmp_path, monkeypatch, error):
    case = Case("a", write_cases(tmp_path)[0].images, points=tmp_path / "a.csv")
    case.points.touch()

    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(case_module, "read_points", fail)
    [line] = lines_of([case], tmp_path / "raw")
    assert line.startswith(f"Case a: {case.points} cannot be read ({type(error).__name__}")


@dataclass(frozen=True)
class Deadly(ImageFile):
    """An image that takes all memory: the system kills the process that reads it."""

    def read(self):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_worker_names_the_cases_in_work(tmp_path):
    cases = write_cases(tmp_path)
    deadly = [
        *cases[:4],
        Case(NAMES[4], (Deadly(cases[4].images[0].absolute()),), mask=cases[4].mask, annotation="simulated"),
    ]
    lines = lines_of(deadly, tmp_path / "raw", num_processes=2)
    assert not (tmp_path / "raw" / PLAN.name).exists()
    named = [line for line in lines if "a process was killed" in line]
    assert any(line.startswith("Case case_4: ") for line in named)
    # At most the cases of the two processes.
    assert 1 <= len(named) <= 2
    assert all("case_4" in line and "run the command again with fewer --num-processes" in line for line in named)
    assert len(list(tmp_path.glob("raw/.*.partial/records/*.json"))) == 5 - len(named)


def in_own_mounts(function, folder):
    """Run a function of this module as root of its own mounts; its exit status and output."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no permission for mounts of our own (unshare -m)")
    code = f"from tests.conversion.test_failures import {function}; {function}({str(folder)!r})"
    result = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stderr[-3000:]


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def fill_disk(folder):
    folder = Path(folder)
    cases = write_cases(folder)
    whole = contents(convert(cases, PLAN, folder / "whole", num_processes=1))
    needed = sum(4096 * -(-len(content) // 4096) for content in whole.values())
    steps = set()
    for size in range(4096, needed, 12288):
        raw = Path(tempfile.mkdtemp(dir=folder))
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", raw)
        lines = lines_of(cases, raw)
        assert len(lines) == 1, lines
        assert "make room" in lines[0], lines
        assert not (raw / PLAN.name).exists()
        kept = len(list(raw.glob(".*/records/*.json")))
        steps.add(kept)
        mount("-o", "remount,size=10m", raw)
        assert lines_of(cases, raw) == []
        assert contents(raw / PLAN.name) == whole
    assert len(steps) > 2, steps


@pytest.mark.slow
def test_a_full_disk_costs_one_line_and_no_finished_case(tmp_path):
    in_own_mounts("fill_disk", tmp_path)


def lock_disk(folder):
    folder = Path(folder)
    cases = write_cases(folder)
    whole = contents(convert(cases, PLAN, folder / "whole", num_processes=1))
    raw = folder / "raw"
    raw.mkdir()
    mount("-t", "tmpfs", "-o", "size=10m", "tmpfs", raw)
    # Before the start, with half the cases done, and with an older dataset there.
    for prepare in (lambda: None, lambda: spoiled(cases, raw), lambda: convert(cases[:2], PLAN, raw, num_processes=1)):
        mount("-o", "remount,rw", raw)
        prepare()
        before = contents(raw)
        mount("-o", "remount,ro", raw)
        lines = lines_of(cases, raw, overwrite=True)
        assert len(lines) == 1, lines
        assert "Read-only file system" in lines[0] or "cannot be written" in lines[0], lines
        assert contents(raw) == before
    mount("-o", "remount,rw", raw)
    assert lines_of(cases, raw, overwrite=True) == []
    assert contents(raw / PLAN.name) == whole


def spoiled(cases, raw):
    """A conversion that stops at its last case, which is good again afterwards."""
    path = cases[-1].images[0]
    good, state = path.read_bytes(), path.stat()
    path.write_text("no image", encoding="utf-8")
    assert len(lines_of(cases, raw)) == 1
    path.write_bytes(good)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.slow
def test_a_read_only_output_costs_one_line_and_nothing_else(tmp_path):
    in_own_mounts("lock_disk", tmp_path)


def test_records_that_are_no_record_are_made_again(tmp_path):
    cases = write_cases(tmp_path)
    spoiled(cases, tmp_path / "raw")
    records = sorted(tmp_path.glob("raw/.*.partial/records/*.json"))
    for record, content in zip(records, ("", "[]", "{}", json.dumps({"made_of": 1})), strict=True):
        record.write_text(content, encoding="utf-8")
    assert lines_of(cases, tmp_path / "raw") == []
    assert contents(tmp_path / "raw") == contents(convert(cases, PLAN, tmp_path / "b", num_processes=1).parent)
