"""Scores of the expansion of a target, and their means over the targets and draws of a kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from benchmarks.expansion.methods import Cuts, Guess, Method, learned
from benchmarks.expansion.reliability import Reliability
from benchmarks.expansion.target import Target
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.learned.weights import Expander


@dataclass(frozen=True)
class Score:
    """Scores of one target and draw. Seeds that do not exist have the precision NaN.

    Attributes:
        case: Case identifier.
        draw: Number of the draw of clicks.
        dice: Dice of the mask. Voxels of the target outside the box count as missed.
        mask_volume: Volume of the mask as a fraction of the reference volume.
        volume: Estimated volume as a fraction of the reference volume.
        foreground_precision: Fraction of the foreground seeds that are in the target.
        foreground_recall: Foreground seeds in the target as a fraction of the target.
        background_precision: Fraction of the background seeds in the box that are outside the target.
        background_recall: Background seeds outside the target as a fraction of the box without the target.
    """

    case: str
    draw: int
    dice: float
    mask_volume: float
    volume: float
    foreground_precision: float
    foreground_recall: float
    background_precision: float
    background_recall: float


@dataclass(frozen=True)
class Summary:
    """All scores of one method on one kind of target.

    Attributes:
        dataset: Name of the dataset's folder.
        kind: Name of the target.
        method: Name of the method.
        scores: One per target and draw.
        reliability: Observed fraction of target voxels by probability; empty if the method has no probability.
    """

    dataset: str
    kind: str
    method: str
    scores: tuple[Score, ...]
    reliability: Reliability

    def mean(self, name: str) -> float:
        """Return the mean of a score over targets and draws, without undefined values."""
        values = np.array([getattr(score, name) for score in self.scores])
        return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else float("nan")

    def median(self, name: str) -> float:
        """Return the median of a score over targets and draws."""
        return float(np.median([getattr(score, name) for score in self.scores]))

    @property
    def spread(self) -> float:
        """Standard deviation of the Dice over targets and draws."""
        return float(np.std([score.dice for score in self.scores]))

    @property
    def spread_of_draws(self) -> float:
        """Standard deviation over draws of the mean Dice over targets."""
        draws = sorted({score.draw for score in self.scores})
        means = [np.mean([score.dice for score in self.scores if score.draw == draw]) for draw in draws]
        return float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")

    @property
    def cases(self) -> dict[str, float]:
        """Mean Dice over draws by case, the smallest first."""
        dice: dict[str, list[float]] = {}
        for score in self.scores:
            dice.setdefault(score.case, []).append(score.dice)
        means = {case: float(np.mean(values)) for case, values in dice.items()}
        return dict(sorted(means.items(), key=lambda item: item[1]))


def score(target: Target, draw: int, clicks: VoxelInstance, guess: Guess) -> Score:
    """Compare the expansion of a target with its mask. Clicked voxels keep their label."""
    truth, size = target.mask[clicks.box], int(target.mask.sum())
    start = np.array([side.start for side in clicks.box])
    inside, outside = tuple((clicks.foreground - start).T), tuple((clicks.background - start).T)
    foreground, background = guess.foreground.copy(), guess.background.copy()
    for seeds, other, voxels in ((foreground, background, inside), (background, foreground, outside)):
        seeds[voxels], other[voxels] = True, False
    return Score(
        case=target.case,
        draw=draw,
        dice=float(2 * (guess.mask & truth).sum() / (guess.mask.sum() + size)),
        mask_volume=float(guess.mask.sum() / size),
        volume=guess.volume / size,
        foreground_precision=_fraction((foreground & truth).sum(), foreground.sum()),
        foreground_recall=float((foreground & truth).sum() / size),
        background_precision=_fraction((background & ~truth).sum(), background.sum()),
        background_recall=_fraction((background & ~truth).sum(), (~truth).sum()),
    )


def _fraction(part: np.integer, whole: np.integer) -> float:
    return float(part / whole) if whole else float("nan")


def summarise(name: str, method: Method, targets: Iterable[Target], *, progress: bool = True) -> list[Summary]:
    """Expand all draws of all targets by one method, and return one summary per kind of target."""
    scores: dict[tuple[str, str], list[Score]] = {}
    reliability: dict[tuple[str, str], Reliability] = {}
    for target in tqdm(targets, desc=name, unit="target", disable=None if progress else True):
        key = target.dataset, target.kind
        for draw, clicks in enumerate(target.draws):
            guess = method(target, clicks)
            scores.setdefault(key, []).append(score(target, draw, clicks, guess))
            counted = Reliability.count(guess.probability, target.mask[clicks.box])
            reliability[key] = reliability.get(key, Reliability()) + counted
    return [Summary(*key, name, tuple(found), reliability[key]) for key, found in scores.items()]


def evaluate(
    expander: Expander, targets: Sequence[Target], *, cuts: Cuts | None = None, progress: bool = True
) -> list[Summary]:
    """Measure a network on targets; :func:`benchmarks.expansion.tables.table` prints the result.

    Args:
        expander: Network, such as ``Expander(network.eval(), layout, "")`` of a training that runs.
        targets: Targets of :func:`benchmarks.expansion.datasets.load_targets` or of the phantoms.
        cuts: Probabilities at which seeds are cut; None for the defaults.
        progress: Whether a progress bar is shown on a terminal.
    """
    return summarise("learned", learned(expander, cuts or Cuts()), targets, progress=progress)
