"""Random appearances of a target and its surroundings, and their images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunet_paseg.seeds.learned.layout import FloatArray, Layout, interpolate
from nnunet_paseg.seeds.learned.synthetic.noise import mixed_noise, smooth_noise

Mask = npt.NDArray[np.bool_]


def random_tissue(rng: np.random.Generator, target: Mask, field: FloatArray, body: Mask) -> FloatArray:
    """Return noise-free intensities, about 0 to 1, of a target in random surroundings.

    Args:
        rng: Random number generator.
        target: Mask (size, size, size) of the target.
        field: Field of the shape on the same grid, positive inside.
        body: Mask of the tissue to which the target belongs: no surface is visible where it continues.
    """
    size = len(target)
    body = body | target
    regions, levels = _regions(rng, size)
    texture = rng.uniform(0, 0.12, len(levels)).astype(np.float32)[regions]
    near = ndimage.binary_dilation(target, iterations=2) & ~body
    around = float(np.median(levels[regions[near]])) if near.any() else 0.5
    contrast = rng.choice([rng.uniform(0.04, 0.2), rng.uniform(0.15, 0.5), rng.uniform(0.3, 0.9)], p=[0.25, 0.45, 0.3])
    value = around + contrast * rng.choice([-1, 1]) if rng.random() < 0.75 else rng.uniform(0, 1)
    if rng.random() < 0.2:  # tissues of the target's own intensity, at which its surface is invisible
        alike = rng.random(len(levels)) < 0.3
        levels[alike] = value + rng.uniform(-0.06, 0.06, alike.sum())
    image = levels[regions]
    if rng.random() < 0.4:
        image = _neighbours(rng, image, value, target)
    if rng.random() < 0.2:  # a wall, a capsule or an oedema
        rim = ndimage.binary_dilation(body, iterations=int(rng.integers(1, 3))) & ~body
        image = np.where(rim, rng.uniform(0, 1) if rng.random() < 0.5 else (value + around) / 2, image)
    inside = _interior(rng, value, around, target, field)
    image = np.where(body, inside, image)
    texture = np.where(body, rng.uniform(0, 0.12), texture)
    return (image + texture * smooth_noise(rng, rng.integers(size // 5, size, 3), size)).astype(np.float32)


def _regions(rng: np.random.Generator, size: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return several random regions, and the intensity of each."""
    count = int(rng.integers(2, 8))
    fields = [smooth_noise(rng, rng.integers(2, 10, 3), size) for _ in range(count)]
    regions = np.stack(fields).argmax(0)
    levels = rng.uniform(0, 1, count).astype(np.float32)
    if rng.random() < 0.05:  # hardly any structure
        levels = (levels[0] + 0.05 * levels).astype(np.float32)
    return regions, levels


def _neighbours(rng: np.random.Generator, image: FloatArray, value: float, target: Mask) -> FloatArray:
    """Add structures of about the intensity of the target: islands, or a body that touches it on one side."""
    size = len(target)
    similar = value + rng.uniform(-0.06, 0.06)
    noise = mixed_noise(rng, int(rng.integers(2, 7)), size)
    if rng.random() < 0.8:
        islands = noise > np.quantile(noise, rng.uniform(0.7, 0.95))
        if rng.random() < 0.5:
            islands &= ~ndimage.binary_dilation(target, iterations=2)
        return np.where(islands, np.float32(similar), image)
    # A half-space with an uneven face that begins near the target's surface.
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    line = np.linspace(-1, 1, size, dtype=np.float32)
    along = direction[0] * line[:, None, None] + direction[1] * line[:, None] + direction[2] * line
    along = along + rng.uniform(0.05, 0.25) * noise
    return np.where(along > np.quantile(along[target], rng.uniform(0.5, 1)), np.float32(similar), image)


def _interior(rng: np.random.Generator, value: float, around: float, target: Mask, field: FloatArray) -> FloatArray:
    """Return intensities that are ``value`` in the main, with what makes targets uneven."""
    size = len(target)
    inside = np.full(target.shape, value, dtype=np.float32)
    if rng.random() < 0.12:  # a necrotic or fluid core, often as dark as the surroundings
        depth = field + rng.uniform(0, 0.15) * smooth_noise(rng, int(rng.integers(3, 7)), size)
        core = depth > np.quantile(depth[target], rng.uniform(0.15, 0.85))
        inside = np.where(core, around if rng.random() < 0.5 else rng.uniform(0, 1), inside)
    if rng.random() < 0.2:  # patches: calcification, bleeding, fat
        patch = smooth_noise(rng, int(rng.integers(2, 7)), size)
        inside = np.where(
            patch > np.quantile(patch[target], rng.uniform(0.5, 0.95)), value + rng.uniform(-0.5, 0.5), inside
        )
    if rng.random() < 0.2:  # brighter or darker towards the middle
        inside = inside + rng.uniform(-0.3, 0.3) * np.clip(field / max(float(field.max()), 1e-3), 0, 1)
    if rng.random() < 0.15:  # uptake that varies
        inside = inside + rng.uniform(0, 0.25) * smooth_noise(rng, int(rng.integers(2, 6)), size)
    return inside.astype(np.float32)


def scan(rng: np.random.Generator, tissue: FloatArray, edges: Sequence[float], layout: Layout) -> FloatArray:
    """Return an image of intensities: with bias field, blur, voxels of the scanner and noise.

    Args:
        rng: Random number generator.
        tissue: Intensities (size, size, size).
        edges: Edge lengths (z, y, x) of the target's box in voxels of the scanner.
        layout: Canonical grid.
    """
    image = tissue * np.exp(rng.uniform(0, 0.3) * smooth_noise(rng, int(rng.integers(2, 5)), layout.size))
    voxels = [layout.inner / edge for edge in edges]
    sharpness = rng.uniform(0.1, 0.5)
    blur = [float(np.hypot(rng.uniform(0.1, 0.6), sharpness * voxel)) for voxel in voxels]
    image = ndimage.gaussian_filter(image, blur).astype(np.float32)
    level = rng.uniform(0, 0.06) if rng.random() < 0.85 else rng.uniform(0.05, 0.2)
    coarse = image
    places = []
    for axis, voxel in enumerate(voxels):
        # Voxels smaller than those of the canonical grid are averaged by it, so that they need not be made.
        count = int(np.clip(round(layout.size / voxel), 1, layout.size)) if voxel > 1 else layout.size
        places.append((np.arange(layout.size) + 0.5) / layout.size * count - 0.5)
        if count < layout.size:
            centres = (np.arange(count) + 0.5) / count * layout.size - 0.5
            coarse = interpolate(coarse, axis, centres, max(1.0, layout.size / count / 2))
    noise = rng.standard_normal(coarse.shape).astype(np.float32)
    if rng.random() < 0.4:  # noise of reconstructed images is seldom white
        noise = ndimage.gaussian_filter(noise, rng.uniform(0.3, 1.0))
        noise /= max(float(noise.std()), 1e-6)
    coarse = coarse + level * noise
    for axis, positions in enumerate(places):
        if coarse.shape[axis] < layout.size:
            coarse = interpolate(coarse, axis, positions, 1.0)
    return coarse.astype(np.float32)
