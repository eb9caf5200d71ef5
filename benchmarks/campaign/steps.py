"""The steps of a campaign, and the choice of the cases that are clicked next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nnunet_paseg.seeds.masks import expected_dice

STRATEGIES = ("random", "doubt")
START, STEP, ROUNDS = 10, 5, 4
"""Cases at the start and per round, and number of further rounds."""


class Step(NamedTuple):
    """One training of a campaign; round 0 is the start, which all strategies share."""

    task: str
    repeat: int
    strategy: str
    round: int

    @property
    def name(self) -> str:
        """Name of the record."""
        return f"{self.task}_{self.repeat}_{self.strategy}_{self.round}"

    @property
    def fold(self) -> int:
        """Number of nnU-Net's fold, 1 or more."""
        strategy = STRATEGIES.index(self.strategy) if self.round else 0
        return 1 + (self.repeat * len(STRATEGIES) + strategy) * (ROUNDS + 1) + self.round

    @property
    def clicked(self) -> int:
        """Number of clicked cases."""
        return START + self.round * STEP


def doubt(probabilities: npt.NDArray[np.float32], labels: Sequence[int]) -> float:
    """Return 1 minus the expected Dice, mean over the classes: 1 where the network finds nothing.

    Args:
        probabilities: Probability (label, z, y, x) of every label, the background first.
        labels: Labels of the classes.
    """
    return 1 - fmean(expected_dice(probabilities[label]) for label in labels)


def next_cases(strategy: str, clicked: Sequence[str], order: Sequence[str], doubts: Mapping[str, float]) -> list[str]:
    """Return the cases that are clicked after the next round.

    Args:
        strategy: One of :data:`STRATEGIES`.
        clicked: Cases clicked so far.
        order: All cases, in random order.
        doubts: Doubt about every case that is not clicked; not needed for ``random``.
    """
    others = [case for case in order if case not in clicked]
    if strategy == "doubt":
        others.sort(key=lambda case: -doubts[case])
    return [*clicked, *others[:STEP]]
