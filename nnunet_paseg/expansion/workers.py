"""Expansion of many cases in several processes: a case that cannot be expanded does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from nnunet_paseg.errors import PasegError
from nnunet_paseg.expansion.case import expand_case
from nnunet_paseg.expansion.folder import OutputFolder
from nnunet_paseg.io.case_files import CaseFiles
from nnunet_paseg.io.processes import Killed, in_processes
from nnunet_paseg.io.writing import OutputError
from nnunet_paseg.seeds.threads import one_thread

Problem = str | None
"""Message why a case cannot be expanded, None if it is expanded."""


def expand_cases(
    cases: Sequence[CaseFiles], folder: OutputFolder, num_processes: int
) -> Iterator[tuple[CaseFiles, Problem]]:
    """Expand cases and yield them as they are done, each with its problem.

    Args:
        cases: Image and point files of the cases.
        folder: Output folder.
        num_processes: Number of cases expanded at the same time.

    Raises:
        OutputError: The output folder cannot be written, so no other case can be expanded either.
    """
    for files, problem in in_processes(partial(_expand, folder=folder), cases, num_processes):
        if isinstance(problem, Killed):
            names = ", ".join(sorted(other.identifier for other in problem.in_work))
            problem = (
                f"Case {files.identifier}: a process was killed (out of memory?) with {names} in work: run the "
                "command again with fewer --num-processes."
            )
        yield files, problem


def _expand(files: CaseFiles, folder: OutputFolder) -> Problem:
    try:
        with one_thread():
            expand_case(files, folder)
    except OutputError:
        raise
    except PasegError as error:
        return str(error)
    return None
