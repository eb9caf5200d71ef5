"""Conversion of many cases in several processes: a case that cannot be converted does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from nnunet_paseg.conversion.case import convert_case
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.processes import Killed, in_processes
from nnunet_paseg.io.writing import OutputError
from nnunet_paseg.seeds.threads import one_thread

Problem = str | None
"""Message why a case cannot be converted, None if it is converted."""


def convert_cases(
    cases: Sequence[Case], plan: DatasetPlan, folder: Path, num_processes: int
) -> Iterator[tuple[Case, Problem]]:
    """Convert cases and yield them as they are done, each with its problem.

    Args:
        cases: Cases to convert.
        plan: Names, classes and seed parameters.
        folder: Staging folder.
        num_processes: Number of cases converted at the same time.

    Raises:
        OutputError: The staging folder cannot be written, so no other case can be converted either.
    """
    work = partial(_convert, plan=plan, folder=folder)
    for case, problem in in_processes(work, cases, num_processes):
        if isinstance(problem, Killed):
            names = ", ".join(sorted(other.identifier for other in problem.in_work))
            problem = (
                f"Case {case.identifier}: a process was killed (out of memory?) with {names} in work: run the "
                "command again with fewer --num-processes."
            )
        yield case, problem


def _convert(case: Case, plan: DatasetPlan, folder: Path) -> Problem:
    try:
        with one_thread():
            convert_case(case, plan, folder)
    except OutputError:
        raise
    except PasegError as error:
        return str(error)
    return None
