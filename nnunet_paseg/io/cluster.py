"""Work on many cases on a Dask cluster: a worker that dies costs time, since another one takes its cases."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from nnunet_paseg import __version__
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.processes import Killed

Item = TypeVar("Item")
Result = TypeVar("Result")

CASES_PER_WORKER = 2
"""Cases that each worker has in work or at hand. The others stay here, so that the scheduler's memory stays flat."""
CONNECT_SECONDS = 30
CHECK_SECONDS = 5.0
"""Time after which new workers get cases at the latest."""

_one_at_a_time = threading.Lock()


def add_dask_argument(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add ``--dask``."""
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="scheduler of a Dask cluster with a shared file system, tcp://HOST:PORT or a scheduler file, whose "
        "workers do the cases in the place of --num-processes (requires the extra 'cluster')",
    )


def on_cluster(
    work: Callable[[Item], Result], items: Sequence[Item], address: str
) -> Iterator[tuple[Item, Result | Killed[Item]]]:
    """Call a function for every item on the workers, and yield the items as they are done, each with its result.

    An item whose worker was killed is done again by another worker, unless it has killed several of them.

    Args:
        work: Function that can be pickled.
        items: Items, in the order in which they are started.
        address: Address of the scheduler, or its scheduler file.

    Raises:
        PasegError: dask.distributed is missing, the scheduler does not answer, or its workers differ from this machine.
    """
    with _connected(address) as client:
        executor = client.get_executor(pure=False)
        try:
            yield from _in_executor(executor, work, list(items)[::-1], lambda: len(client.nthreads()))
        except KeyboardInterrupt:
            executor.shutdown(wait=False)
            raise
        finally:
            executor.shutdown()


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise PasegError('--dask requires dask.distributed: pip install "nnunet-paseg[cluster]"') from error
    where = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = Client(**where, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise PasegError(
            f"--dask {address}: no Dask scheduler answers there ({error}): start one with 'dask scheduler', and pass "
            "the address that it prints"
        ) from error
    with client:
        yield client


def _in_executor(
    executor: Executor, work: Callable[[Item], Result], waiting: list[Item], num_workers: Callable[[], int]
) -> Iterator[tuple[Item, Result | Killed[Item]]]:
    """Take waiting items, the last one first, until all are done."""
    working: dict[Future[Result], Item] = {}
    had_workers = True
    while waiting or working:
        workers = num_workers()
        if had_workers and not workers:
            print("The Dask scheduler has no worker: waiting for one ('dask worker ADDRESS').", file=sys.stderr)
        had_workers = workers > 0
        at_hand = CASES_PER_WORKER * max(1, workers)
        while waiting and len(working) < at_hand:
            item = waiting.pop()
            working[executor.submit(_on_worker, work, item, __version__, os.getcwd())] = item
        yield from _results(wait(working, timeout=CHECK_SECONDS, return_when=FIRST_COMPLETED).done, working)


def _results(
    done: set[Future[Result]], working: dict[Future[Result], Item]
) -> list[tuple[Item, Result | Killed[Item]]]:
    """Return the results, so that no future is kept: if a worker dies, Dask repeats what it did for kept futures."""
    results = []
    for future in done:
        item = working.pop(future)
        result = _result(future, item)
        results.append((item, result))
    return results


def _result(future: Future[Result], item: Item) -> Result | Killed[Item]:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        return Killed((item,), "more memory per worker")
    except CancelledError as error:
        raise PasegError("The Dask scheduler was lost: run the same command again.") from error
    except ImportError as error:
        raise PasegError(
            f"The workers cannot import this package ({error}): start them in the environment of this machine."
        ) from error


def _on_worker(work: Callable[[Item], Result], item: Item, version: str, folder: str) -> Result:
    """Call a function on a worker, in the folder of the command, so that relative paths have the same meaning."""
    if version != __version__:
        raise PasegError(f"A worker has nnunet-paseg {__version__}, this machine {version}: install the same version.")
    # Threads of one worker would share PyTorch's number of threads, on which the last digits depend.
    with _one_at_a_time, _in_folder(folder):
        return work(item)


@contextmanager
def _in_folder(folder: str) -> Iterator[None]:
    before = os.getcwd()
    try:
        os.chdir(folder)
    except OSError as error:
        raise PasegError(
            f"A worker cannot enter {folder} ({error.strerror}): the workers need the file system of this machine."
        ) from error
    try:
        yield
    finally:
        os.chdir(before)
