"""Annotation time per target, and the training cases that a given annotation time pays for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.accuracy.grid import MIXED, POINT_SEEDS, SHARES, Method
from benchmarks.accuracy.tasks import Task
from nnunet_paseg.errors import PasegError

POINT_SECONDS, DENSE_SECONDS = 37, 480
"""Annotation time per target, by extreme points and by a dense mask.

Both were measured on vestibular schwannomas (InExtremIS, Dorent et al., MELBA 2021) and are used for all targets.
"""


def cases_for(labels: str, share: float | None, num_train: int) -> tuple[int, int]:
    """Return the numbers of densely annotated cases and of cases annotated by points.

    The number of dense masks is rounded up, so that they never get less time than the points. One of the mixed cases
    is dense.

    Args:
        labels: Key of grid.LABELS.
        share: Fraction of the annotation time, as in :class:`~benchmarks.accuracy.grid.Method`.
        num_train: Number of available training cases.
    """
    seconds = (1.0 if share is None else share) * num_train * POINT_SECONDS
    if labels in MIXED:
        return 1, num_train - 1 if share is None else max(0, int((seconds - DENSE_SECONDS) // POINT_SECONDS))
    if labels == "dense":
        return num_train if share is None else min(num_train, math.ceil(seconds / DENSE_SECONDS)), 0
    return 0, num_train if share is None else max(1, int(share * num_train))


def minutes(method: Method, task: Task) -> float:
    """Return the annotation time of a method's training cases, in minutes."""
    dense, points = cases_for(method.labels, method.share, task.num_train)
    return task.targets * (dense * DENSE_SECONDS + points * POINT_SECONDS) / 60


def check(method: Method, task: Task) -> None:
    """Raise PasegError if one dense mask takes the whole annotation time of mixed cases.

    Raises:
        PasegError: There are too few training cases.
    """
    if method.labels in MIXED and cases_for(method.labels, method.share, task.num_train)[1] == 0:
        raise PasegError(
            f"{task.source}: points on {task.num_train} cases take less time than one dense mask, so nothing can be "
            "mixed within the same annotation time: omit this method for this dataset."
        )


def drawn(cases: Sequence[str], point_seed: int) -> list[str]:
    """Return the training cases in the order of annotation; the first of mixed cases is dense."""
    return np.random.default_rng(point_seed).permutation(sorted(cases)).tolist()


def fold(method: Method, point_seed: int) -> int:
    """Return the number of nnU-Net's fold that trains on the method's cases."""
    if method.share is None:
        return 0
    return 1 + SHARES.index(method.share) + len(SHARES) * point_seed


def folds(cases: Sequence[str], labels: str) -> list[dict[str, Any]]:
    """Return the content of splits_final.json: all cases as fold 0, then one fold per point seed and share.

    As folds of one dataset, subsets and the whole set have the same plans. nnU-Net validates on two of the fold's own
    cases at the end of a training. The scores come from the test cases.
    """
    parts = [sorted(cases)]
    for point_seed in POINT_SEEDS:
        order = drawn(cases, point_seed)
        parts += [sorted(order[: sum(cases_for(labels, share, len(order)))]) for share in SHARES]
    return [{"train": part, "val": part[:2]} for part in parts]
