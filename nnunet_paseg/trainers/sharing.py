"""Work on single cases, shared among the GPUs of a training: while one works alone, the others run into a timeout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from torch import distributed

Item = TypeVar("Item")


def share_of(trainer: Any, items: Sequence[Item]) -> Sequence[Item]:
    """What of the items falls to this process: all of them where it is the only one."""
    return items[distributed.get_rank() :: distributed.get_world_size()] if trainer.is_ddp else items
