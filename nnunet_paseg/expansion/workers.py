"""Expansion of many cases in parallel: a case that cannot be expanded does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from nnunet_paseg.expansion.case import expand_case
from nnunet_paseg.expansion.folder import OutputFolder
from nnunet_paseg.io.case_files import CaseFiles
from nnunet_paseg.io.case_processes import Problem, each_case
from nnunet_paseg.seeds.threads import one_thread


def expand_cases(
    cases: Sequence[CaseFiles], folder: OutputFolder, num_processes: int, dask: str | None
) -> Iterator[tuple[CaseFiles, Problem]]:
    """Expand cases and yield them as they are done, each with its problem.

    Args:
        cases: Image and point files of the cases.
        folder: Output folder.
        num_processes: Number of cases expanded at the same time.
        dask: Address of a Dask scheduler, or None for processes of this machine.

    Raises:
        OutputError: The output folder cannot be written, so no other case can be expanded either.
    """
    return each_case(partial(_expand, folder=folder), cases, num_processes, dask)


def _expand(files: CaseFiles, folder: OutputFolder) -> None:
    with one_thread():
        expand_case(files, folder)
