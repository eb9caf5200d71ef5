"""Work on many cases in several processes: a process that is killed costs the cases in work, not the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Killed(Generic[Item]):
    """The result of an item whose process was killed, usually for lack of memory.

    Attributes:
        in_work: All items that the processes had in work, this one included.
        remedy: What the next attempt needs.
    """

    in_work: tuple[Item, ...]
    remedy: str = "fewer --num-processes"


def in_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    num_processes: int,
    *,
    initializer: Callable[[], None] | None = None,
) -> Iterator[tuple[Item, Result | Killed[Item]]]:
    """Call a function for every item, and yield the items as they are done, each with its result.

    Args:
        work: Function that can be pickled.
        items: Items, in the order in which they are started.
        num_processes: Number of processes; 1 calls the function in this one.
        initializer: Function that every new process calls first.
    """
    if num_processes <= 1:
        yield from ((item, work(item)) for item in items)
        return
    waiting = list(items)[::-1]
    while waiting:
        # Not fork: it would copy the threads of the libraries in the parent in an undefined state.
        with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"), initializer=initializer) as pool:
            try:
                yield from _in_pool(pool, work, waiting, num_processes)
            finally:
                pool.shutdown(cancel_futures=True)


def _in_pool(
    pool: ProcessPoolExecutor, work: Callable[[Item], Result], waiting: list[Item], num_processes: int
) -> Iterator[tuple[Item, Result | Killed[Item]]]:
    """Take waiting items, the last one first, until all are done or a process is killed."""
    # Never more jobs than processes, so that the items in work are known when a process is killed.
    working: dict[Future[Result], Item] = {}
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
            result = future.result()
            yield working.pop(future), result
        if killed:
            # All jobs of a broken pool fail, whichever process was killed.
            in_work = tuple(working.values())
            yield from ((item, Killed(in_work)) for item in in_work)
            return
