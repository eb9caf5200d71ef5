"""Expansion methods: from the clicks of a target to a mask, seeds and an estimated volume."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.expansion.target import Target
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.geodesic import geodesic_distance
from nnunet_paseg.seeds.learned.predict import target_probability
from nnunet_paseg.seeds.learned.weights import Expander

Mask = npt.NDArray[np.bool_]

PAPER_THRESHOLD = 0.2
"""Fraction of the largest distance in the box below which the rule of the paper makes foreground seeds."""


@dataclass(frozen=True)
class Cuts:
    """Probabilities at which seeds are cut.

    Attributes:
        foreground: Foreground seeds are above it.
        background: Background seeds are below it.
    """

    foreground: float = 0.7
    background: float = 0.3


class Guess(NamedTuple):
    """The expansion of one target in its box.

    Attributes:
        mask: Mask (z, y, x).
        foreground: Foreground seeds (z, y, x).
        background: Background seeds (z, y, x).
        volume: Estimated volume in voxels, NaN if the method has none.
        probability: Probability (z, y, x) of each voxel, None if the method has none.
    """

    mask: Mask
    foreground: Mask
    background: Mask
    volume: float
    probability: npt.NDArray[np.float32] | None = None


Method = Callable[[Target, VoxelInstance], Guess]


def learned(expander: Expander, cuts: Cuts) -> Method:
    """Return the expansion by a network. The mask is cut at one half."""

    def expand(target: Target, clicks: VoxelInstance) -> Guess:
        p = target_probability(target.image, clicks, expander)
        return Guess(p > 0.5, p > cuts.foreground, p < cuts.background, float(p.sum(dtype=np.float64)), p)

    return expand


def paper(target: Target, clicks: VoxelInstance) -> Guess:
    """Expand by the rule of the paper with the exact geodesic distance. Its foreground seeds are the mask."""
    inside = np.stack([channel[clicks.box] for channel in target.image])
    marked = np.zeros(inside.shape[1:], dtype=bool)
    marked[tuple((clicks.foreground - [side.start for side in clicks.box]).T)] = True
    distance = geodesic_distance(inside, marked, spacing_mm=target.spacing_mm)
    foreground = distance < PAPER_THRESHOLD * distance.max()
    return Guess(foreground, foreground, np.zeros_like(foreground), math.nan)
