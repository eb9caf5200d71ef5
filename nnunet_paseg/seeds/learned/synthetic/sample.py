"""Sample of the training: one synthetic target on the canonical grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import ndtr

from nnunet_paseg.seeds.learned.inputs import network_input
from nnunet_paseg.seeds.learned.layout import FloatArray, Layout, interpolate
from nnunet_paseg.seeds.learned.synthetic.appearance import random_tissue, scan
from nnunet_paseg.seeds.learned.synthetic.clicks import random_clicks, random_gaps
from nnunet_paseg.seeds.learned.synthetic.shapes import random_shape

MULTICHANNEL = 0.12
"""Share of batches with two to four image channels."""

FLAT = 0.03
"""Share of targets in an image of a single slice."""

OUTLINE = 0.5
"""Standard deviation, in voxels of the image, of the outline's distance from the visible surface: annotators differ."""


class Sample(NamedTuple):
    """A synthetic target on the canonical grid.

    Attributes:
        maps: Input of the network (c, 7, size, size, size).
        target: Mask (size, size, size).
    """

    maps: FloatArray
    target: npt.NDArray[np.bool_]


def random_channels(rng: np.random.Generator) -> int:
    """Return a random number of image channels."""
    return int(rng.integers(2, 5)) if rng.random() < MULTICHANNEL else 1


def random_sample(rng: np.random.Generator, layout: Layout, *, channels: int = 1) -> Sample:
    """Return a random target with its image, of some ``channels``, and its clicks."""
    flat = int(rng.integers(3)) if rng.random() < FLAT else None
    while True:
        field, body, box = random_shape(rng)
        extents = _extents(rng)
        gaps = random_gaps(rng, extents)
        outline = float(np.clip(OUTLINE * rng.standard_normal(), -1, 1)) if rng.random() < 0.4 else 0.0
        gaps += outline
        cut = rng.random((3, 2)) < (0.25 if rng.random() < 0.1 else 0.0)
        gaps[cut] = 0
        (field, body), edges = _canonical(rng, np.stack([field, body]), box, extents, gaps, cut, layout)
        if flat is not None:
            field, body = _single_slice(field, flat), _single_slice(body, flat)
            edges[flat], cut[flat] = 1.0, True
        organ = field > 0
        target = _outlined(organ, outline, edges, layout)
        inner = target[(slice(layout.context, layout.size - layout.context),) * 3]
        if inner.sum() >= 0.02 * inner.size:
            break
    borders = _borders(rng, cut, layout)
    cubes = []
    for channel in range(channels):
        blind = channel > 0 and rng.random() < 0.4
        shown = _elsewhere(rng, organ) if blind else organ
        tissue = random_tissue(rng, shown, field, shown if blind else body > 0)
        if flat is not None:
            tissue = _single_slice(tissue, flat)
        cubes.append(_beyond_border(scan(rng, tissue, edges, layout), borders))
    visible = target & _inside(cut, layout)
    clicks = random_clicks(rng, visible & _box(layout), context=layout.context, cut=cut)
    maps = network_input(
        [cubes[i] for i in rng.permutation(channels)],
        foreground=clicks.foreground,
        background=clicks.background,
        edges=edges,
        open_faces=[(bool(low), bool(high)) for low, high in cut],
        layout=layout,
    )
    if rng.random() < 0.5:  # what is bright in one scanner is dark in the next
        maps[:, :2] *= -1
    return Sample(*_turned(rng, maps, visible))


def _extents(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the extents (z, y, x) of the target in voxels of the image."""
    extents = np.exp(np.clip(rng.normal(np.log(28), 0.65), np.log(7), np.log(120)) + rng.uniform(-0.3, 0.3, 3))
    if rng.random() < 0.35:  # thick slices
        extents[rng.integers(3)] /= rng.uniform(1.5, 5)
    return np.maximum(extents, 3.0)


def _canonical(
    rng: np.random.Generator,
    fields: FloatArray,
    box: tuple[slice, slice, slice],
    extents: npt.NDArray[np.float64],
    gaps: npt.NDArray[np.float64],
    cut: npt.NDArray[np.bool_],
    layout: Layout,
) -> tuple[FloatArray, list[float]]:
    """Resample fields (n, z, y, x) so that the box with the gaps is the inner cube; a cut face goes through the box."""
    places = (np.arange(layout.size) - layout.context + 0.5) / layout.inner
    edges = []
    for axis, side in enumerate(box):
        extent = side.stop - side.start
        voxel = extent / extents[axis]
        start = side.start - 0.5 - gaps[axis, 0] * voxel + cut[axis, 0] * rng.uniform(0.1, 0.45) * extent
        stop = side.stop - 0.5 + gaps[axis, 1] * voxel - cut[axis, 1] * rng.uniform(0.1, 0.45) * extent
        positions = start + (stop - start) * places
        edges.append((stop - start) / voxel)
        # Beyond the cube in which the shape was made there is no target.
        fields = np.pad(fields, [(1, 1) if a == axis + 1 else (0, 0) for a in range(4)], constant_values=-0.3)
        fields = interpolate(fields, axis + 1, positions + 1, max(1.0, (stop - start) / layout.inner))
    return fields, edges


def _outlined(
    organ: npt.NDArray[np.bool_], outline: float, edges: list[float], layout: Layout
) -> npt.NDArray[np.bool_]:
    """Return a mask whose surface is ``outline`` voxels of the image outside that of an organ, smoothed by a voxel."""
    if outline == 0:
        return organ
    voxels = [layout.inner / edge for edge in edges]
    return np.asarray(ndimage.gaussian_filter(organ.astype(np.float32), voxels, mode="nearest") > ndtr(-outline))


def _single_slice(cube: FloatArray, axis: int) -> FloatArray:
    """Repeat the middle plane along an axis, as the canonical grid shows an image of a single slice."""
    return np.repeat(np.take(cube, [len(cube) // 2], axis=axis), len(cube), axis=axis)


def _borders(rng: np.random.Generator, cut: npt.NDArray[np.bool_], layout: Layout) -> npt.NDArray[np.int64]:
    """Return the number of voxels (3, 2) of the cube beyond the image: at cut faces, and where images are cropped."""
    cropped = rng.random((3, 2)) < (0.6 if rng.random() < 0.3 else 0.0)
    borders = np.where(cropped, rng.integers(0, layout.context + 1, (3, 2)), 0)
    borders[cut] = layout.context
    borders[cut.all(axis=1)] = 0  # a single slice is even along its axis already
    return borders


def _beyond_border(cube: FloatArray, borders: npt.NDArray[np.int64]) -> FloatArray:
    """Repeat the outermost voxels of the image beyond its border."""
    crop = tuple(slice(low, side - high) for side, (low, high) in zip(cube.shape, borders, strict=True))
    return np.pad(cube[crop], borders, mode="edge")


def _inside(cut: npt.NDArray[np.bool_], layout: Layout) -> npt.NDArray[np.bool_]:
    mask = np.zeros((layout.size,) * 3, dtype=bool)
    margins = layout.context * cut.astype(int)
    mask[tuple(slice(low, layout.size - high) for low, high in margins)] = True
    return mask


def _box(layout: Layout) -> npt.NDArray[np.bool_]:
    return _inside(np.ones((3, 2), dtype=bool), layout)


def _elsewhere(rng: np.random.Generator, target: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the target moved to a different place: a channel that does not show it."""
    moved = np.roll(target, rng.integers(5, len(target) - 5, 3), axis=(0, 1, 2))
    return np.asarray(moved, dtype=bool)


def _turned(
    rng: np.random.Generator, maps: FloatArray, target: npt.NDArray[np.bool_]
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Permute and flip the axes."""
    order = rng.permutation(3)
    flips = tuple(axis for axis in range(3) if rng.random() < 0.5)
    maps = np.flip(maps.transpose(0, 1, *(order + 2)), tuple(axis + 2 for axis in flips))
    return np.ascontiguousarray(maps), np.ascontiguousarray(np.flip(target.transpose(order), flips))
