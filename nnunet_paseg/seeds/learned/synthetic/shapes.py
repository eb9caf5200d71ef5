"""Random shapes of organs, tumours and vessels, as fields that are positive inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunet_paseg.seeds.learned.layout import FloatArray
from nnunet_paseg.seeds.learned.synthetic.noise import mixed_noise, smooth_noise

SIZE = 44
"""Edge length of the cube in which shapes are made; it spans [-1, 1] per axis."""

SMALLEST, THINNEST = 150, 5
"""Volume and extent per axis, in voxels, below which a shape is made anew."""

RAGGED, CUT_OFF, VESSELS = 0.06, 0.12, 0.12
"""Shares of targets with a ragged surface, of those that end where their tissue goes on, and of those with vessels."""

Shape = Callable[[np.random.Generator, FloatArray], FloatArray]


class RandomShape(NamedTuple):
    """A connected random shape.

    Attributes:
        field: Field (44, 44, 44), positive inside the target.
        body: Field (44, 44, 44), positive inside the tissue to which the target belongs. It contains the target.
        box: Bounding box of the inside of the target.
    """

    field: FloatArray
    body: FloatArray
    box: tuple[slice, slice, slice]


def random_shape(rng: np.random.Generator) -> RandomShape:
    """Return a connected random shape."""
    names, shares = list(KINDS), np.array([share for _, share in KINDS.values()])
    while True:
        kind, _ = KINDS[names[rng.choice(len(names), p=shares / shares.sum())]]
        field = kind(rng, _warped(rng))
        if rng.random() < RAGGED:  # an infiltrating surface
            field = field + rng.uniform(0.03, 0.12) * mixed_noise(rng, int(rng.integers(5, 9)), SIZE)
        body = field
        if rng.random() < CUT_OFF:
            field = _cut_off(rng, field)
        parts, count = ndimage.label(field > 0)
        if not count:
            continue
        sizes = np.bincount(parts.ravel())
        largest = int(sizes[1:].argmax()) + 1
        box = ndimage.find_objects(parts)[largest - 1]
        if sizes[largest] < SMALLEST or min(side.stop - side.start for side in box) < THINNEST:
            continue
        field = np.where((parts == largest) | (field <= 0), field, -0.05).astype(np.float32)
        if rng.random() < VESSELS:
            body = np.maximum(body, _vessels(rng, field))
        return RandomShape(field, np.maximum(field, body), box)


def ellipsoid(
    rng: np.random.Generator,
    x: FloatArray,
    *,
    centre: npt.ArrayLike | None = None,
    radii: tuple[float, float] = (0.3, 0.85),
) -> FloatArray:
    """Return an ellipsoid with random axes whose half-lengths lie between the two ``radii``."""
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    middle = rng.uniform(-0.15, 0.15, 3) if centre is None else np.asarray(centre)
    matrix = (axes / rng.uniform(radii[0], radii[1], 3)).T.astype(np.float32)
    offsets = np.tensordot(matrix, x - middle.astype(np.float32)[:, None, None, None], 1)
    return np.asarray(1 - np.sqrt((offsets**2).sum(0)), dtype=np.float32)


def tube(x: FloatArray, knots: npt.ArrayLike, radii: npt.NDArray[np.floating]) -> FloatArray:
    """Return a tube along the quadratic Bézier curve of three ``knots``, with one radius per ball along it."""
    a, b, c = np.asarray(knots, dtype=np.float32)
    t = np.linspace(0, 1, len(radii), dtype=np.float32)[:, None]
    line = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
    nearest = np.full(x.shape[1:], np.inf, dtype=np.float32)
    for place, radius in zip(line, radii, strict=True):
        squared = ((x - place[:, None, None, None]) ** 2).sum(0) / np.float32(radius) ** 2
        np.minimum(nearest, squared, out=nearest)
    return 1 - np.sqrt(nearest)


def _radii(rng: np.random.Generator, low: float, high: float, count: int = 12) -> npt.NDArray[np.float64]:
    waves = np.sin(np.linspace(0, rng.uniform(1, 6), count) + rng.uniform(0, 6))
    return rng.uniform(low, high) * (1 + 0.4 * waves)


def _curved_tube(rng: np.random.Generator, x: FloatArray) -> FloatArray:
    return tube(x, rng.uniform(-0.8, 0.8, (3, 3)), _radii(rng, 0.12, 0.32))


def _lobes(rng: np.random.Generator, x: FloatArray) -> FloatArray:
    field = np.full(x.shape[1:], -0.55, dtype=np.float32)
    for _ in range(rng.integers(2, 7)):
        centre = rng.uniform(-0.5, 0.5, 3).astype(np.float32)[:, None, None, None]
        field += np.exp(-((x - centre) ** 2).sum(0) / np.float32(2 * rng.uniform(0.12, 0.32) ** 2))
    return field


def _branches(rng: np.random.Generator, x: FloatArray) -> FloatArray:
    field = ellipsoid(rng, x, radii=(0.25, 0.6))
    for _ in range(rng.integers(1, 6)):
        direction = rng.standard_normal(3)
        direction /= np.linalg.norm(direction)
        middle = 0.3 * direction + rng.uniform(-0.15, 0.15, 3)
        knots = np.stack([0.1 * direction, middle, rng.uniform(0.5, 0.95) * direction])
        field = np.maximum(field, tube(x, knots, _radii(rng, 0.06, 0.18, 10)))
    return field


def _fork(rng: np.random.Generator, x: FloatArray) -> FloatArray:
    centre = rng.uniform(-0.25, 0.25, 3)
    field = np.full(x.shape[1:], -1.0, dtype=np.float32)
    for _ in range(rng.integers(3, 5)):
        knots = np.stack([centre, centre + rng.uniform(-0.4, 0.4, 3), rng.uniform(-0.9, 0.9, 3)])
        field = np.maximum(field, tube(x, knots, _radii(rng, 0.08, 0.2, 10)))
    return field


def _crescent(rng: np.random.Generator, x: FloatArray) -> FloatArray:
    bite = ellipsoid(rng, x, centre=rng.uniform(-0.7, 0.7, 3), radii=(0.3, 0.7))
    return np.minimum(ellipsoid(rng, x, radii=(0.45, 0.85)), -bite)


def _ring(rng: np.random.Generator, x: FloatArray) -> FloatArray:
    """Return a shell around a hole, which may break through."""
    body = ellipsoid(rng, x, radii=(0.45, 0.85))
    thickness = rng.uniform(0.15, 0.45)
    wall = thickness + 0.12 * smooth_noise(rng, int(rng.integers(2, 5)), x.shape[-1])
    return np.minimum(body, wall - body)


def _sheet(rng: np.random.Generator, x: FloatArray) -> FloatArray:
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    u, v, w = np.tensordot(axes.astype(np.float32), x, 1)
    a, b, c = rng.uniform(-0.6, 0.6, 3)
    height = a * u**2 + b * v**2 + c * u * v
    thickness = rng.uniform(0.1, 0.25)
    rim = 1 - np.sqrt((u / rng.uniform(0.5, 0.95)) ** 2 + (v / rng.uniform(0.5, 0.95)) ** 2)
    return np.minimum(1 - np.abs(w - height) / thickness, 3 * rim).astype(np.float32)


def _blob(rng: np.random.Generator, x: FloatArray) -> FloatArray:
    """Return a body whose surface is irregular at several scales."""
    body = ellipsoid(rng, x, radii=(0.4, 0.75))
    return body + rng.uniform(0.1, 0.35) * mixed_noise(rng, int(rng.integers(3, 6)), x.shape[-1])


def _level_set(rng: np.random.Generator, x: FloatArray) -> FloatArray:
    field = smooth_noise(rng, int(rng.integers(3, 6)), x.shape[-1]) + 0.1
    return np.minimum(field, 1 - 1.1 * np.sqrt((x**2).sum(0)))


def _cut_off(rng: np.random.Generator, field: FloatArray) -> FloatArray:
    """Cut a shape along a plane, as the parts of an organ are divided where no edge is visible."""
    line = np.linspace(-1, 1, len(field), dtype=np.float32)
    normal = rng.standard_normal(3)
    normal /= np.linalg.norm(normal)
    along = normal[0] * line[:, None, None] + normal[1] * line[:, None] + normal[2] * line
    inside = along[field > 0]
    return np.minimum(field, np.quantile(inside, rng.uniform(0.4, 0.9)) - along) if inside.size else field


def _vessels(rng: np.random.Generator, field: FloatArray) -> FloatArray:
    """Return tubes that lead from the inside of a shape out of the cube, such as the vessels of an organ."""
    line = np.linspace(-1, 1, SIZE, dtype=np.float32)
    x = np.stack(np.meshgrid(line, line, line, indexing="ij"))
    inside = np.argwhere(field > 0)
    vessels = np.full(field.shape, -1.0, dtype=np.float32)
    for _ in range(rng.integers(1, 4)):
        start = line[inside[rng.integers(len(inside))]]
        direction = rng.standard_normal(3)
        direction *= rng.uniform(1.2, 2.0) / np.linalg.norm(direction)
        knots = np.stack([start, start + direction / 2 + rng.uniform(-0.3, 0.3, 3), start + direction])
        vessels = np.maximum(vessels, tube(x, knots, _radii(rng, 0.08, 0.25, 16)))
    return vessels


KINDS: dict[str, tuple[Shape, float]] = {
    "ellipsoid": (ellipsoid, 0.27),
    "blob": (_blob, 0.05),
    "lobes": (_lobes, 0.11),
    "tube": (_curved_tube, 0.18),
    "branches": (_branches, 0.14),
    "fork": (_fork, 0.03),
    "crescent": (_crescent, 0.13),
    "ring": (_ring, 0.02),
    "sheet": (_sheet, 0.02),
    "level set": (_level_set, 0.05),
}
"""Kinds of shapes, with their shares."""


def _warped(rng: np.random.Generator) -> FloatArray:
    """Return the coordinates (3, z, y, x) of the cube, moved by smooth noise."""
    line = np.linspace(-1, 1, SIZE, dtype=np.float32)
    x = np.stack(np.meshgrid(line, line, line, indexing="ij"))
    knots, height = int(rng.integers(3, 7)), rng.uniform(0, 0.22)
    return np.stack([axis + np.float32(height) * smooth_noise(rng, knots, SIZE) for axis in x])
