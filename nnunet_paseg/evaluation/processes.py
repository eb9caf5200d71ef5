"""Scoring of many cases in several processes; a case that cannot be scored does not stop the others."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.case_scores import CaseScores, Job, score_case

Result = CaseScores | str
"""Scores of a case, or the message why it has none."""


def score_cases(jobs: Sequence[Job], num_processes: int) -> Iterator[tuple[Job, Result]]:
    """Score cases and yield them as they are done, each with its scores or with a message."""
    if num_processes == 1:
        yield from ((job, _score_or_message(job)) for job in jobs)
        return
    waiting = list(jobs)[::-1]
    while waiting:
        # Not fork: it would copy the threads of the libraries in the parent in an undefined state.
        with ProcessPoolExecutor(num_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                yield from _score_in_pool(pool, waiting, num_processes)
            finally:
                pool.shutdown(cancel_futures=True)


def _score_in_pool(pool: ProcessPoolExecutor, waiting: list[Job], num_processes: int) -> Iterator[tuple[Job, Result]]:
    """Score waiting cases, the last one first, until all are done or a process is killed."""
    # Never more jobs than processes, so that the cases in work are known when a process is killed.
    working: dict[Future[Result], Job] = {}
    while waiting or working:
        while waiting and len(working) < num_processes:
            try:
                working[pool.submit(_score_or_message, waiting[-1])] = waiting[-1]
            except BrokenProcessPool:
                if not working:  # an idle process was killed: nothing is lost, and the caller makes a new pool
                    return
                break
            waiting.pop()
        done, _ = wait(working, return_when=FIRST_COMPLETED)
        killed = [future for future in done if isinstance(future.exception(), BrokenProcessPool)]
        for future in done.difference(killed):
            result = future.result()
            yield working.pop(future), result
        if killed:
            # All jobs of a broken pool fail, whichever process was killed.
            cases = ", ".join(sorted(job.case for job in working.values()))
            message = f"a process was killed (out of memory?) with {cases} in work: use fewer --num-processes"
            yield from ((job, message) for job in working.values())
            return


def _score_or_message(job: Job) -> Result:
    try:
        return score_case(job)
    except PasegError as error:
        return str(error)
    except Exception as error:  # whatever a library raises for a damaged file, it concerns this case alone
        return f"{job.reference}: cannot be scored ({type(error).__name__}: {error}): check both files of the case"
