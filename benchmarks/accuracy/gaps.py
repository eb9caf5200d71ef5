"""Comparison of a run with others of the same settings: gap closed, and the paired test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy.differences import signed_rank
from benchmarks.accuracy.scores import Score, read_cases

BASELINE, OLD_DEFAULT, DENSE = "paper-exact", "adaptive", "dense"

SMALLEST_GAP = 0.10
"""Smallest difference in Dice between baseline and dense masks; below it, the gap closed is mostly noise."""


@dataclass(frozen=True)
class Gap:
    """The fraction of the gap between the baseline and dense masks that a method closes.

    Attributes:
        closed: Fraction, 1 for a method that is as good as dense masks.
        counts: Whether the gap is at least :data:`SMALLEST_GAP`.
    """

    closed: float
    counts: bool

    def __str__(self) -> str:
        """Return the fraction, with an asterisk if the gap is too small."""
        return f"{self.closed:.2f}{'' if self.counts else '*'}"


def gap_closed(score: Score, scores: Sequence[Score]) -> Gap | None:
    """Return (method - baseline) / (dense - baseline) in Dice; None if either is not measured, and for both ends.

    The other runs have the same dataset, points, iterations, preset and training seed. One run of the baseline serves
    all training seeds. One run on dense masks serves all training and point seeds.
    """
    same = comparable(score, scores)
    if score.method in (BASELINE, DENSE) or not {BASELINE, DENSE} <= same.keys():
        return None
    gap = same[DENSE].dice - same[BASELINE].dice
    # Dense masks that are no better than the seeds leave no gap to close.
    return None if gap <= 0 else Gap((score.dice - same[BASELINE].dice) / gap, gap >= SMALLEST_GAP)


def comparable(score: Score, scores: Sequence[Score]) -> dict[str, Score]:
    """Return the comparable runs by method; of several on one method, the one with the same training seed."""
    budget = (score.dataset, score.iterations, score.preset)
    mine = [other for other in scores if (other.dataset, other.iterations, other.preset) == budget]
    mine = [other for other in mine if other.method == DENSE or other.point_seed == score.point_seed]
    mine = [other for other in mine if other.method in (BASELINE, DENSE) or other.weight_seed == score.weight_seed]
    mine.sort(key=lambda other: other.weight_seed == score.weight_seed)
    return {other.method: other for other in mine}


def p_value(score: Score, scores: Sequence[Score], results: Path, other_method: str) -> float | None:
    """Return the p-value of Wilcoxon's two-sided signed-rank test over the test cases against a comparable run.

    Args:
        score: Score of the method.
        scores: All scores, those of the other method included.
        results: Folder with the scores per case, in ``cases``.
        other_method: Method to test against.

    Returns:
        p-value; None if the scores per case are missing or belong to different cases.
    """
    other = comparable(score, scores).get(other_method)
    if other is None or other == score:
        return None
    mine, theirs = (read_cases(results / "cases" / f"{each.name}.csv") for each in (score, other))
    if not mine or mine.keys() != theirs.keys():
        return None
    return signed_rank(np.array([mine[case] - theirs[case] for case in mine]))
