"""Work on single cases, divided among the ranks of a training, since a rank that waits runs into a timeout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from torch import distributed

Item = TypeVar("Item")


def items_of_rank(trainer: Any, items: Sequence[Item]) -> Sequence[Item]:
    """Return the items of this rank, or all items without DDP."""
    return items[distributed.get_rank() :: distributed.get_world_size()] if trainer.is_ddp else items


def gather(trainer: Any, items: list[Item]) -> list[Item]:
    """Return the items of all ranks, on every rank."""
    if not trainer.is_ddp:
        return items
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, items)
    return [item for rank in gathered for item in rank]
