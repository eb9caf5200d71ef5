"""Cases in several processes: a process that is killed costs the cases in work, not the others."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from nnunet_paseg.evaluation.case_scores import CaseScores, Classes, Job
from nnunet_paseg.evaluation.processes import score_cases
from tests.evaluation.test_evaluate import boxes, write


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KillsItsProcess:
    """A path that kills the process which receives it."""

    def __reduce__(self) -> Any:
        return kill, ()


def test_a_killed_process_names_the_cases_in_work(tmp_path: Path) -> None:
    write(tmp_path / "a.nii", boxes())
    classes = Classes({"lesion": (1,)})
    jobs = [Job(case, tmp_path / "a.nii", tmp_path / "a.nii", classes, "default") for case in "abcde"]
    jobs[1] = Job("b", None, KillsItsProcess(), classes, "default")  # type: ignore[arg-type]
    results = {job.case: result for job, result in score_cases(jobs, 2)}
    assert sorted(results) == list("abcde")
    failures = {case: result for case, result in results.items() if isinstance(result, str)}
    assert "b" in failures
    assert len(failures) <= 2
    for message in failures.values():
        assert f"with {', '.join(sorted(failures))} in work: use fewer --num-processes" in message
    assert all(isinstance(results[case], CaseScores) for case in results.keys() - failures.keys())


@pytest.mark.parametrize("num_processes", [1, 2])
def test_whatever_a_case_raises_is_a_message(tmp_path: Path, num_processes: int) -> None:
    write(tmp_path / "a.nii", boxes())
    jobs = [Job("a", tmp_path / "a.nii", tmp_path / "a.nii", None, "default")] * 2  # type: ignore[arg-type]
    for _, result in score_cases(jobs, num_processes):
        assert isinstance(result, str)
        assert "a.nii: cannot be scored (AttributeError: " in result
