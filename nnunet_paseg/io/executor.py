"""Work on many cases, in processes of this machine or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from nnunet_paseg.io.cluster import on_cluster
from nnunet_paseg.io.processes import Killed, in_processes

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], num_processes: int, *, dask: str | None = None
) -> Iterator[tuple[Item, Result | Killed[Item]]]:
    """Call a function for every item, and yield the items as they are done, each with its result.

    Args:
        work: Function that can be pickled.
        items: Items, in the order in which they are started.
        num_processes: Number of processes of this machine; 1 calls the function in this one.
        dask: Address of a Dask scheduler, whose workers then do the work instead.

    Raises:
        PasegError: The cluster cannot be used.
    """
    return in_processes(work, items, num_processes) if dask is None else on_cluster(work, items, dask)
