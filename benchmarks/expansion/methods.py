"""Expansion methods: from the clicks of a target to a mask, seeds and an estimated volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.expansion.target import Target
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.learned.predict import target_probability
from nnunet_paseg.seeds.learned.weights import Expander
from nnunet_paseg.seeds.rules import BoxSeeds, SeedParameters, box_seeds

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cuts:
    """Probabilities at which seeds are cut.

    Attributes:
        foreground: Foreground seeds are above it.
        background: Background seeds are below it.
    """

    foreground: float = 0.9
    background: float = 0.1


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
    seeds = _geodesic(target, clicks, SeedParameters(rule="paper"))
    return Guess(seeds.foreground, seeds.foreground, seeds.background, seeds.volume)


def adaptive(target: Target, clicks: VoxelInstance) -> Guess:
    """Expand by the adaptive rule. The mask is cut at the estimated volume."""
    seeds = _geodesic(target, clicks, SeedParameters())
    return Guess(seeds.relative < 1, seeds.foreground, seeds.background, seeds.volume)


def _geodesic(target: Target, clicks: VoxelInstance, parameters: SeedParameters) -> BoxSeeds:
    start = np.array([side.start for side in clicks.box])
    return box_seeds(
        np.stack([channel[clicks.box] for channel in target.image]),
        clicks.foreground - start,
        clicks.extremes - start,
        spacing_mm=target.spacing_mm,
        parameters=parameters,
    )
