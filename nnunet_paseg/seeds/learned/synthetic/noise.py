"""Smooth random fields."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnunet_paseg.seeds.learned.layout import FloatArray, interpolate


def smooth_noise(rng: np.random.Generator, knots: npt.ArrayLike, size: int) -> FloatArray:
    """Return a field (size, size, size) interpolated linearly between normal values on ``knots`` per axis."""
    counts = np.broadcast_to(np.asarray(knots), 3)
    field = rng.standard_normal(tuple(int(count) for count in counts)).astype(np.float32)
    for axis, count in enumerate(counts):
        field = interpolate(field, axis, np.linspace(0, count - 1, size), 1.0)
    return field


def mixed_noise(rng: np.random.Generator, coarsest: int, size: int) -> FloatArray:
    """Return the sum of three fields, each with twice the knots and about half the height of the one before."""
    fall = rng.uniform(0.35, 0.7)
    return sum(
        (fall**octave * smooth_noise(rng, min(size, coarsest * 2**octave), size) for octave in range(3)),
        start=np.zeros((size, size, size), dtype=np.float32),
    )
