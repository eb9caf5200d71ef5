"""Phantoms: analytic bodies with an exact mask, so that the benchmark runs without data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from benchmarks.expansion.clicks import simulate_draws
from benchmarks.expansion.target import Target, cut_out, largest_component

SHAPE = (40, 64, 64)
SPACING_MM = (2.0, 1.0, 1.0)
BLUR_MM = 1.0

CONTRASTS = {"high": 4.0, "low": 1.0}
"""Difference between body and surroundings in standard deviations of the noise."""

Coordinates = npt.NDArray[np.float64]


def ellipsoid(z: Coordinates, y: Coordinates, x: Coordinates) -> Coordinates:
    """Return the level of an ellipsoid along the axes."""
    return 1 - (z / 22) ** 2 - (y / 12) ** 2 - (x / 16) ** 2


def oblique(z: Coordinates, y: Coordinates, x: Coordinates) -> Coordinates:
    """Return the level of a long ellipsoid on a diagonal of the image."""
    along, across = (y + x) / np.sqrt(2), (y - x) / np.sqrt(2)
    return 1 - (z / 12) ** 2 - (along / 24) ** 2 - (across / 8) ** 2


def bent_tube(z: Coordinates, y: Coordinates, x: Coordinates) -> Coordinates:
    """Return the level of a tube along a parabola."""
    away = np.hypot(y - 12 + (x / 6) ** 2, z)
    return np.minimum(1 - away / 7, 1 - np.abs(x) / 20)


def crescent(z: Coordinates, y: Coordinates, x: Coordinates) -> Coordinates:
    """Return the level of a ball without a second ball."""
    return np.minimum(1 - np.sqrt(z**2 + y**2 + x**2) / 20, np.sqrt(z**2 + (y - 12) ** 2 + x**2) / 16 - 1)


def ring(z: Coordinates, y: Coordinates, x: Coordinates) -> Coordinates:
    """Return the level of a torus."""
    return 1 - np.hypot(np.hypot(y, x) - 16, z) / 7


def two_lobes(z: Coordinates, y: Coordinates, x: Coordinates) -> Coordinates:
    """Return the level of two balls that overlap."""
    one, other = (np.sqrt(z**2 + (y / 1.1) ** 2 + (x + place) ** 2) for place in (11, -9))
    return np.maximum(1 - one / 13, 1 - other / 10)


BODIES: dict[str, Callable[[Coordinates, Coordinates, Coordinates], Coordinates]] = {
    "ellipsoid": ellipsoid,
    "oblique ellipsoid": oblique,
    "bent tube": bent_tube,
    "crescent": crescent,
    "ring": ring,
    "two lobes": two_lobes,
}
"""Level by name: positive inside the body, for coordinates (z, y, x) in mm from its centre."""


def phantom_targets(draws: int = 3) -> list[Target]:
    """Return one target per body and contrast, with clicks. The noise has the standard deviation 1."""
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(SHAPE, SPACING_MM, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    targets = []
    for index, (kind, level) in enumerate(BODIES.items()):
        mask = largest_component(level(z, y, x) > 0)
        window = cut_out(mask)
        smooth = ndimage.gaussian_filter(mask.astype(np.float32), [BLUR_MM / step for step in SPACING_MM])
        for name, contrast in CONTRASTS.items():
            noise = np.random.default_rng(index).standard_normal(SHAPE)
            image = (contrast * smooth + noise).astype(np.float32)[window]
            target = Target("phantoms", kind, f"{name} contrast", image[None], mask[window], SPACING_MM)
            targets.append(simulate_draws(target, draws))
    return targets
