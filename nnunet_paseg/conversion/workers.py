"""Conversion of many cases in several processes: a case that cannot be converted does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from nnunet_paseg.conversion.case import convert_case
from nnunet_paseg.conversion.images import OutputError
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.errors import PasegError

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
    if num_processes <= 1:
        yield from ((case, work(case)) for case in cases)
        return
    waiting = list(cases)[::-1]
    while waiting:
        # Spawned, because a process that has used torch's threads must not be forked.
        with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            try:
                yield from _convert_in_pool(pool, waiting, work, num_processes)
            finally:
                pool.shutdown(cancel_futures=True)


def _convert_in_pool(
    pool: ProcessPoolExecutor, waiting: list[Case], work: Callable[[Case], Problem], num_processes: int
) -> Iterator[tuple[Case, Problem]]:
    """Convert waiting cases, the last one first, until all are done or a process is killed."""
    # Never more jobs than processes, so that the cases in work are known when a process is killed.
    working: dict[Future[Problem], Case] = {}
    while waiting or working:
        while waiting and len(working) < num_processes:
            try:
                working[pool.submit(work, waiting[-1])] = waiting[-1]
            except BrokenProcessPool:
                if not working:  # an idle process was killed: nothing is lost, and the caller makes a new pool
                    return
                break
            waiting.pop()
        done, _ = wait(working, return_when=FIRST_COMPLETED)
        killed = [future for future in done if isinstance(future.exception(), BrokenProcessPool)]
        for future in done.difference(killed):
            problem = future.result()
            yield working.pop(future), problem
        if killed:
            # All jobs of a broken pool fail, whichever process was killed.
            names = ", ".join(sorted(case.identifier for case in working.values()))
            for case in working.values():
                yield (
                    case,
                    f"Case {case.identifier}: a process was killed (out of memory?) with {names} in work: run the "
                    "command again with fewer --num-processes.",
                )
            return


def _convert(case: Case, plan: DatasetPlan, folder: Path) -> Problem:
    try:
        convert_case(case, plan, folder)
    except OutputError:
        raise
    except PasegError as error:
        return str(error)
    return None


def _one_thread() -> None:
    torch.set_num_threads(1)
