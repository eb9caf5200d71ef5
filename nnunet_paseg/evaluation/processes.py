"""Scoring of many cases in parallel; a case that cannot be scored does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.case_scores import CaseScores, Job, score_case
from nnunet_paseg.io.executor import in_parallel
from nnunet_paseg.io.processes import Killed

Result = CaseScores | str
"""Scores of a case, or the message why it has none."""


def score_cases(jobs: Sequence[Job], num_processes: int, dask: str | None = None) -> Iterator[tuple[Job, Result]]:
    """Score cases and yield them as they are done, each with its scores or with a message."""
    for job, result in in_parallel(_score_or_message, jobs, num_processes, dask=dask):
        if isinstance(result, Killed):
            cases = ", ".join(sorted(other.case for other in result.in_work))
            result = f"a process was killed (out of memory?) with {cases} in work: use {result.remedy}"
        yield job, result


def _score_or_message(job: Job) -> Result:
    try:
        return score_case(job)
    except PasegError as error:
        return str(error)
    except Exception as error:  # whatever a library raises for a damaged file, it concerns this case alone
        return f"{job.reference}: cannot be scored ({type(error).__name__}: {error}): check both files of the case"
