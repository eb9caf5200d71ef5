"""Seed rules for one target: by the probability of a network, and as published."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.geodesic import geodesic_distance
from nnunet_paseg.seeds.learned.predict import target_probability
from nnunet_paseg.seeds.learned.weights import Expander, load_expander

Rule = Literal["learned", "paper"]

DEFAULTS: Mapping[Rule, Mapping[str, Any]] = {
    "learned": {"foreground_probability": 0.7, "background_probability": 0.3, "expander": None},
    "paper": {"threshold": 0.2, "weight": 0.5, "backend": "torch"},
}
"""Parameters of every rule, with their default values."""


@dataclass(frozen=True)
class SeedParameters:
    """Parameters of the seed expansion.

    A parameter that is None gets the default of the rule. Parameters of a different rule stay None.

    Attributes:
        rule: ``learned`` (probabilities of a network that is trained on synthetic targets) or ``paper`` (PA-Seg,
            section III-A: geodesic distances from raw intensities, in mm).
        foreground_probability: Learned: voxels with a higher probability become foreground.
        background_probability: Learned: voxels with a lower probability become background; 0 for no background inside
            the boxes.
        expander: Learned: file of the network's weights. None for the weights of this package.
        expander_sha256: SHA-256 of these weights. Others are refused, unless it is None.
        threshold: Paper: voxels nearer than this fraction of the largest distance become foreground.
        weight: Paper: weight of the intensity in the geodesic distance; 0 is Euclidean.
        backend: Paper: ``"torch"`` (exact) or ``"geodistk"`` (raster scans as in the paper, if installed).

    Raises:
        PasegError: A value is out of range, or a parameter of a different rule is given.
    """

    rule: Rule = "learned"
    foreground_probability: float | None = None
    background_probability: float | None = None
    expander: Path | None = None
    expander_sha256: str | None = None
    threshold: float | None = None
    weight: float | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        if self.rule not in DEFAULTS:
            raise PasegError(f"The seed rule is one of {', '.join(DEFAULTS)}: got {self.rule!r}.")
        for name in {name for defaults in DEFAULTS.values() for name in defaults}:
            if getattr(self, name) is not None and name not in DEFAULTS[self.rule]:
                rules = [rule for rule, defaults in DEFAULTS.items() if name in defaults]
                raise PasegError(
                    f"--{name.replace('_', '-')} has no effect on the seed rule {self.rule}: leave it out, or pass "
                    f"--seeds {' or '.join(rules)}."
                )
        for name, value in DEFAULTS[self.rule].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        self._check_range()

    def _check_range(self) -> None:
        given: Any = self  # None are the parameters of the other rule only
        foreground, background = given.foreground_probability, given.background_probability
        if self.rule == "learned" and not 0 <= background <= foreground < 1:
            raise PasegError(
                "Seeds need probabilities with 0 <= --background-probability <= --foreground-probability < 1: got "
                f"{background} and {foreground}."
            )
        if self.rule == "paper" and not 0 < given.threshold <= 1:
            raise PasegError(f"The seed threshold is a fraction, in (0, 1]: got {given.threshold}.")

    def network(self) -> Expander:
        """Return the network of the learned rule.

        Raises:
            PasegError: Its file cannot be read, or contains other weights than the given SHA-256.
        """
        expander = load_expander(self.expander)
        if self.expander_sha256 not in (None, expander.sha256):
            raise PasegError(
                f"{self.expander or 'The file of weights'} was replaced during the conversion (SHA-256 "
                f"{expander.sha256[:12]}, not {str(self.expander_sha256)[:12]}): run the same command again."
            )
        return expander

    def with_sha256(self) -> SeedParameters:
        """Return these parameters with the SHA-256 of the network's weights, if the rule has a network.

        Raises:
            PasegError: The file of the weights cannot be read.
        """
        return replace(self, expander_sha256=self.network().sha256) if self.rule == "learned" else self

    def record(self) -> dict[str, Any]:
        """Return the rule and its parameters for the record of a dataset: of a network the SHA-256, not its file."""
        names = [name for name in DEFAULTS[self.rule] if name != "expander"]
        weights = {"expander_sha256": self.expander_sha256} if self.rule == "learned" else {}
        return {"rule": self.rule, **{name: getattr(self, name) for name in names}, **weights}


class BoxSeeds(NamedTuple):
    """The seeds of one target in its box, each (z, y, x), and its volume.

    Attributes:
        relative: Order of the voxels. A voxel in several boxes goes to the target for which it is lowest: 1 - p with a
            network, or distance as a fraction of the largest distance.
        foreground: Mask of the foreground seeds.
        background: Mask of the background seeds.
        volume: Estimated volume of the target in voxels; NaN with the rule of the paper.
        probability: Probability p of the network; None without one.
    """

    relative: npt.NDArray[np.float32]
    foreground: npt.NDArray[np.bool_]
    background: npt.NDArray[np.bool_]
    volume: float
    probability: npt.NDArray[np.float32] | None = None


def target_seeds(
    image: npt.NDArray[Any], instance: VoxelInstance, *, spacing_mm: Sequence[float], parameters: SeedParameters
) -> BoxSeeds:
    """Expand the points of one target in its box.

    Args:
        image: Intensities (c, z, y, x), of the whole image or of the voxels that the rule needs (see
            :func:`nnunet_paseg.seeds.expand.needed_window`).
        instance: Points on the voxels of the image.
        spacing_mm: Spacing (z, y, x).
        parameters: Parameters of the expansion.

    Returns:
        The seeds. Clicked voxels are no exception yet: they are labelled for all targets together.

    Raises:
        PasegError: The file of the network's weights cannot be read.
    """
    given: Any = parameters  # None are the parameters of the other rule only
    if parameters.rule == "learned":
        p = target_probability(image, instance, parameters.network())
        foreground, background = p > given.foreground_probability, p < given.background_probability
        return BoxSeeds(1 - p, foreground, background, float(p.sum(dtype=np.float64)), p)
    z, y, x = instance.box
    inside = image[:, z, y, x]
    marked = np.zeros(inside.shape[1:], dtype=bool)
    marked[tuple((instance.foreground - [z.start, y.start, x.start]).T)] = True
    distance = geodesic_distance(inside, marked, spacing_mm=spacing_mm, weight=given.weight, backend=given.backend)
    relative = (distance / max(float(distance.max()), 1e-12)).astype(np.float32)
    return BoxSeeds(relative, relative < given.threshold, np.zeros_like(marked), math.nan)
