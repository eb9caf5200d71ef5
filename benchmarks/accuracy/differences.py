"""Comparison of two methods over all their runs: mean difference, bootstrap interval and paired test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import wilcoxon

from benchmarks.accuracy.scores import Score, read_cases

RESAMPLES = 2000
"""Number of bootstrap samples."""

LEVEL = 0.95
"""Probability of the interval."""


@dataclass(frozen=True)
class Difference:
    """Difference in Dice between two methods on the same test cases.

    Attributes:
        mean: Difference of the means over runs and cases.
        low: Lower end of the bootstrap interval.
        high: Upper end of the bootstrap interval.
        p: Wilcoxon's two-sided signed-rank test over the cases, on the means over the runs.
    """

    mean: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        """Return the difference with its interval."""
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def difference(scores: Sequence[Score], others: Sequence[Score], results: Path) -> Difference | None:
    """Compare the runs of two methods.

    The bootstrap draws runs of either method and test cases with replacement. With one run of a method, the interval
    does not contain the spread between its runs.

    Args:
        scores: Runs of the method.
        others: Runs of the method to compare with.
        results: Folder with the scores per case, in ``cases``.

    Returns:
        Method minus other method; None if scores per case are missing or belong to different cases.
    """
    files = [[read_cases(results / "cases" / f"{score.name}.csv") for score in each] for each in (scores, others)]
    names = [sorted(cases) for runs in files for cases in runs]
    if not scores or not others or not names[0] or any(other != names[0] for other in names):
        return None
    ours, theirs = (np.array([[cases[name] for name in names[0]] for cases in runs]) for runs in files)
    paired = ours.mean(0) - theirs.mean(0)
    low, high = np.quantile(_resampled(ours, theirs), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(paired.mean()), float(low), float(high), signed_rank(paired))


def signed_rank(differences: npt.NDArray[np.float64]) -> float:
    """Return the p-value of Wilcoxon's two-sided signed-rank test; 1 if no case differs."""
    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0


def _resampled(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the differences of the means in every bootstrap sample; both arrays are (runs, cases)."""
    rng = np.random.default_rng(0)
    cases = ours.shape[1]
    found = np.empty(RESAMPLES)
    for sample in range(RESAMPLES):
        drawn = rng.integers(cases, size=cases)
        means = [runs[rng.integers(len(runs), size=len(runs))][:, drawn].mean() for runs in (ours, theirs)]
        found[sample] = means[0] - means[1]
    return found
