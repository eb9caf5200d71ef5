"""What annotation costs, and which cases train when only so many minutes may be spent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.accuracy.grid import POINT_SEEDS, SHARES, Method, Task
from nnunet_paseg.errors import PasegError

POINT_SECONDS, DENSE_SECONDS = 37, 480
"""A target in a volume by extreme points, and by a dense mask: InExtremIS (Dorent et al., MELBA 2021), on vestibular
schwannoma. The same is taken for every other target."""


def cases_for(labels: str, share: float | None, num_train: int) -> tuple[int, int]:
    """How many cases are annotated densely, and how many by points.

    Dense masks are rounded up, so that they are never granted less than the points; of the mixed cases one is dense.

    Args:
        labels: a key of grid.LABELS.
        share: as in :class:`~benchmarks.accuracy.grid.Method`.
        num_train: training cases there are.
    """
    seconds = (1.0 if share is None else share) * num_train * POINT_SECONDS
    if labels == "mixed":
        return 1, num_train - 1 if share is None else max(0, int((seconds - DENSE_SECONDS) // POINT_SECONDS))
    if labels == "dense":
        return num_train if share is None else min(num_train, math.ceil(seconds / DENSE_SECONDS)), 0
    return 0, num_train if share is None else max(1, int(share * num_train))


def minutes(method: Method, task: Task) -> float:
    """What annotating a method's training cases takes."""
    dense, points = cases_for(method.labels, method.share, task.num_train)
    return task.targets * (dense * DENSE_SECONDS + points * POINT_SECONDS) / 60


def check(method: Method, task: Task) -> None:
    """Refuse mixed cases where a dense mask takes all the minutes.

    Raises:
        PasegError: the training cases are too few.
    """
    if method.labels == "mixed" and cases_for("mixed", method.share, task.num_train)[1] == 0:
        raise PasegError(
            f"{task.source}: points on {task.num_train} cases take less time than one dense mask, so that nothing can "
            "be mixed at equal minutes: leave this method out for this dataset."
        )


def drawn(cases: Sequence[str], point_seed: int) -> list[str]:
    """Training cases in the order in which they are annotated; the first one of mixed cases is dense."""
    return np.random.default_rng(point_seed).permutation(sorted(cases)).tolist()


def fold(method: Method, point_seed: int) -> int:
    """nnU-Net's fold that trains on the method's cases."""
    if method.share is None:
        return 0
    return 1 + SHARES.index(method.share) + len(SHARES) * point_seed


def folds(cases: Sequence[str], labels: str) -> list[dict[str, Any]]:
    """nnU-Net's splits_final.json: fold 0 is all cases, then come those for every point seed and share.

    As folds of one dataset, few cases and all of them have the same plans. nnU-Net validates on the fold's own cases
    at the end of a training: two are enough, the test cases score.
    """
    parts = [sorted(cases)]
    for point_seed in POINT_SEEDS:
        order = drawn(cases, point_seed)
        parts += [sorted(order[: sum(cases_for(labels, share, len(order)))]) for share in SHARES]
    return [{"train": part, "val": part[:2]} for part in parts]
