"""Reliability of probabilities: the observed fraction of target voxels by predicted probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Voxels by probability, in ten bins of equal width.

    Attributes:
        voxels: Number of voxels per bin.
        predicted: Sum of their probabilities.
        observed: Number of those that are in the target.
    """

    voxels: Sequence[float] = (0.0,) * BINS
    predicted: Sequence[float] = (0.0,) * BINS
    observed: Sequence[float] = (0.0,) * BINS

    @classmethod
    def count(cls, probability: npt.NDArray[np.float32] | None, truth: npt.NDArray[np.bool_]) -> Reliability:
        """Count the voxels of one box; None has no voxel."""
        if probability is None:
            return cls()
        bins = np.minimum((probability * BINS).astype(int), BINS - 1).ravel()
        weights = None, probability.ravel().astype(np.float64), truth.ravel().astype(np.float64)
        return cls(*(tuple(np.bincount(bins, each, BINS).astype(float).tolist()) for each in weights))

    def __add__(self, other: Reliability) -> Reliability:
        """Return the counts of both."""
        pairs = zip(
            (self.voxels, self.predicted, self.observed), (other.voxels, other.predicted, other.observed), strict=True
        )
        return Reliability(*(tuple(a + b for a, b in zip(*pair, strict=True)) for pair in pairs))

    @property
    def bins(self) -> list[tuple[float, float, float]]:
        """Number of voxels, mean probability and observed fraction of each bin; NaN in bins without voxels."""
        rows = zip(self.voxels, self.predicted, self.observed, strict=True)
        return [(n, p / n, observed / n) if n else (n, math.nan, math.nan) for n, p, observed in rows]

    @property
    def error(self) -> float:
        """Expected calibration error: mean over voxels of |mean probability - observed fraction| of their bin."""
        if not any(self.voxels):
            return math.nan
        return float(np.abs(np.subtract(self.predicted, self.observed)).sum() / np.sum(self.voxels))

    def to_json(self) -> dict[str, list[float]]:
        """Return the arguments of the constructor."""
        return {
            "voxels": [int(value) for value in self.voxels],
            "predicted": [round(value, 1) for value in self.predicted],
            "observed": [int(value) for value in self.observed],
        }
