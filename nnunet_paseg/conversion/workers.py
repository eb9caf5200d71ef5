"""Conversion of many cases in parallel: a case that cannot be converted does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from nnunet_paseg.conversion.case import convert_case
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.io.case_processes import Problem, each_case
from nnunet_paseg.seeds.threads import one_thread


def convert_cases(
    cases: Sequence[Case], plan: DatasetPlan, folder: Path, num_processes: int, dask: str | None
) -> Iterator[tuple[Case, Problem]]:
    """Convert cases and yield them as they are done, each with its problem.

    Args:
        cases: Cases to convert.
        plan: Names, classes and seed parameters.
        folder: Staging folder.
        num_processes: Number of cases converted at the same time.
        dask: Address of a Dask scheduler, or None for processes of this machine.

    Raises:
        OutputError: The staging folder cannot be written, so no other case can be converted either.
    """
    return each_case(partial(_convert, plan=plan, folder=folder), cases, num_processes, dask)


def _convert(case: Case, plan: DatasetPlan, folder: Path) -> None:
    with one_thread():
        convert_case(case, plan, folder)
