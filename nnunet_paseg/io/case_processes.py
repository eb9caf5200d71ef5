"""Work on many cases in several processes or on a cluster: a case that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.executor import in_parallel
from nnunet_paseg.io.processes import Killed
from nnunet_paseg.io.writing import OutputError

Problem = str | None
"""Message why a case failed, None if it is done."""


class Identified(Protocol):
    """A case with an identifier."""

    @property
    def identifier(self) -> str:
        """Case identifier."""


AnyCase = TypeVar("AnyCase", bound=Identified)


def each_case(
    work: Callable[[AnyCase], None], cases: Sequence[AnyCase], num_processes: int, dask: str | None
) -> Iterator[tuple[AnyCase, Problem]]:
    """Call a function for every case, and yield the cases as they are done, each with its problem.

    Args:
        work: Function that can be pickled. Its PasegError is the problem of the case.
        cases: Cases, in the order in which they are started.
        num_processes: Number of cases at the same time.
        dask: Address of a Dask scheduler, or None for processes of this machine.

    Raises:
        OutputError: The output cannot be written, so that no other case can be done either.
    """
    for case, problem in in_parallel(partial(_problem, work), cases, num_processes, dask=dask):
        if isinstance(problem, Killed):
            names = ", ".join(sorted(other.identifier for other in problem.in_work))
            problem = (
                f"Case {case.identifier}: a process was killed (out of memory?) with {names} in work: run the "
                f"command again with {problem.remedy}."
            )
        yield case, problem


def _problem(work: Callable[[AnyCase], None], case: AnyCase) -> Problem:
    try:
        work(case)
    except OutputError:
        raise
    except PasegError as error:
        return str(error)
    return None
