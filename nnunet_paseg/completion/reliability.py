"""Reliability of a source of probabilities, measured on the clicks, and its weight: the rule of the completion.

A source is the expansion network, or the trained networks. Its reliability r for a class is the mean over the targets
of

    agreement with the clicks * extent in the clicked box * expected Dice

which are the fraction of foreground points in its mask, the overlap of its mask's edges with those of the clicked box,
and the Dice that its own probabilities predict for its mask. The first two are tests that need no dense mask, the last
one is the doubt of the source itself.

Logits are divided by their mean magnitude in the boxes of the class: a network that is sure everywhere would prevail
otherwise. The weight of a source is r / (1 - r), and all weights together are 1. These are the optimal weights if a
divided logit is r t plus independent noise of variance 1 - r, where t is 1 in the target and -1 outside.

The trained networks are not independent of the expansion network: they were trained on its seeds, and have its
reliability in part because they repeat it. Their odds are multiplied by a factor below 1 (:data:`FACTORS`).

Cases on which the trained networks were trained have weights of their own, because a network fits them better than
others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label as connected_components
from scipy.special import logit

from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.points.windows import Window
from nnunet_paseg.seeds.masks import expected_dice
from nnunet_paseg.seeds.problems import LIKELY

Bytes = npt.NDArray[np.uint8]

NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
"""Voxels that touch in a corner are connected."""

MAX_RELIABILITY = 0.99
"""Odds of a reliability of 1 would be infinite."""

FACTORS = (1.0, 0.3)
"""Factors of the odds of the expansion network and of the trained networks.

Between 0.2 and 0.4 the Dice of the combined masks changes by 0.004 at most (benchmarks/results/completion.md).
"""


@dataclass(frozen=True)
class Measure:
    """What the clicks show about the probabilities of one source for one target.

    Attributes:
        agreement: Fraction of the foreground points with p > 0.5.
        extent: Mean over the axes of the overlap (intersection over union) of mask and clicked box; 0 if the mask
            contains no foreground point.
        expected_dice: Dice that the probabilities predict for their own mask.
        magnitude: Mean magnitude of the logits in the box.
    """

    agreement: float
    extent: float
    expected_dice: float
    magnitude: float

    @property
    def reliability(self) -> float:
        """Product of agreement, extent and expected Dice."""
        return self.agreement * self.extent * self.expected_dice


@dataclass(frozen=True)
class Weight:
    """Weight of one source for one class.

    Attributes:
        weight: Share of the source, from 0 to 1.
        reliability: Mean over the targets.
        magnitude: Mean magnitude of its logits.
    """

    weight: float
    reliability: float
    magnitude: float


def measure(probability: Bytes, target: VoxelInstance, elsewhere: Sequence[Window] = ()) -> Measure:
    """Compare the probabilities of one source with the clicks of one target.

    Args:
        probability: Probability (z, y, x) in a window around the box, 0 to 255 for p from 0 to 1.
        target: Points on the voxels of the window.
        elsewhere: Boxes of other targets of the class, on the voxels of the window. They say nothing about this one.
    """
    inside = probabilities(probability[target.box])
    mask = probabilities(probability) > LIKELY
    own = mask[target.box].copy()
    for box in elsewhere:
        mask[box] = False
    mask[target.box] = own
    agreement = float(mask[tuple(target.foreground.T)].mean())
    clicked = components_at(mask, target.foreground)
    extent = 0.0 if clicked is None else extent_in(clicked, target.box)
    return Measure(agreement, extent, expected_dice(inside), float(np.abs(logit(inside)).mean()))


def probabilities(values: Bytes) -> npt.NDArray[np.float32]:
    """Return the probabilities of bytes, at least half a step away from 0 and 1, so that their logits are finite."""
    return np.clip(values.astype(np.float32) / 255, 0.5 / 255, 1 - 0.5 / 255)


def components_at(mask: npt.NDArray[np.bool_], points: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_] | None:
    """Return the connected components of a mask at some points (n, 3), None if all points are outside the mask."""
    numbers, _ = connected_components(mask, structure=NEIGHBOURS)
    kept = np.unique(numbers[tuple(points.T)])
    kept = kept[kept > 0]
    return np.isin(numbers, kept) if len(kept) else None


def extent_in(mask: npt.NDArray[np.bool_], box: Window) -> float:
    """Return the mean over the axes of the overlap of a mask's range and a box, 0 for an empty mask."""
    if not mask.any():
        return 0.0
    overlaps = []
    for axis, side in enumerate(box):
        marked = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        first, stop = int(marked[0]), int(marked[-1]) + 1
        common = min(stop, side.stop) - max(first, side.start)
        overlaps.append(max(0, common) / (max(stop, side.stop) - min(first, side.start)))
    return float(np.mean(overlaps))


def source_weights(measures: Sequence[Sequence[Measure]], factors: Sequence[float]) -> list[Weight]:
    """Return the weight of every source for one class.

    If the masks of no source contain a foreground point, the first source has weight 1.

    Args:
        measures: For every source, one measure per target of the class.
        factors: Factor of the odds of every source.
    """
    reliabilities = [float(np.mean([one.reliability for one in source])) for source in measures]
    limited = [min(value, MAX_RELIABILITY) for value in reliabilities]
    odds = [factor * value / (1 - value) for value, factor in zip(limited, factors, strict=True)]
    total = sum(odds)
    shares = [value / total for value in odds] if total else [1.0, *[0.0] * (len(odds) - 1)]
    return [
        Weight(share, reliability, float(np.mean([one.magnitude for one in source])))
        for share, reliability, source in zip(shares, reliabilities, measures, strict=True)
    ]


def combined(sources: Sequence[Bytes], weights: Sequence[Weight]) -> npt.NDArray[np.float32]:
    """Return the probability (z, y, x) of the weighted logits of all sources.

    Args:
        sources: Probability (z, y, x) of every source in the same box, 0 to 255 for p from 0 to 1.
        weights: Weight of every source.
    """
    magnitude = sum(each.weight * each.magnitude for each in weights)
    logits = sum(
        each.weight / each.magnitude * logit(probabilities(values))
        for values, each in zip(sources, weights, strict=True)
    )
    return np.asarray(1 / (1 + np.exp(-magnitude * np.asarray(logits))), dtype=np.float32)
