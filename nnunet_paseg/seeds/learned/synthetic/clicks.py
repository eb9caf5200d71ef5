"""Random clicks on a synthetic target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clicks:
    """Coordinates in the canonical cube of the points of one target.

    Attributes:
        foreground: Points (n, 3) in the target.
        background: Points (m, 3) on the faces of the box, and others in the box but outside the target.
    """

    foreground: Points
    background: Points


def random_gaps(rng: np.random.Generator, extents: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the distances (3, 2) of the box's faces from the target in voxels of the image.

    In half of the boxes clicks are one to three voxels outside, or up to six in a fifth of these, and the box excludes
    their planes. In the other half the distance is in proportion to the ``extents`` (3,) of the target.
    """
    if rng.random() < 0.5:
        return rng.uniform(0, 0.14, (3, 2)) * extents[:, None]
    gaps = rng.integers(0, 3, (3, 2)) if rng.random() < 0.8 else rng.integers(0, 6, (3, 2))
    gaps = gaps + rng.uniform(-0.25, 0.25, (3, 2)).clip(0)
    return np.minimum(gaps, 0.25 * extents[:, None])


def random_clicks(
    rng: np.random.Generator, target: npt.NDArray[np.bool_], *, context: int, cut: npt.NDArray[np.bool_]
) -> Clicks:
    """Click on a target.

    Args:
        rng: Random number generator.
        target: Mask (size, size, size), with at least one voxel.
        context: Width of the surroundings of the box, in voxels.
        cut: Faces (3, 2) at the border of the image, half of which have no click.
    """
    size = len(target)
    depth = ndimage.distance_transform_edt(np.pad(target, 1))[1:-1, 1:-1, 1:-1]
    return Clicks(_inner(rng, depth), np.concatenate([_outer(rng, target, context, cut), _others(rng, target, size)]))


def _inner(rng: np.random.Generator, depth: npt.NDArray[np.floating]) -> Points:
    """Return points in the target: mostly a deep one, sometimes several or one near the surface."""
    count = int(rng.integers(2, 5)) if rng.random() < 0.1 else 1
    chance = rng.random()
    if count == 1 and chance < 0.5:
        return np.array([np.unravel_index(int(depth.argmax()), depth.shape)], dtype=np.float64)
    deep = np.argwhere(depth >= max(1.0, (0.6 if chance < 0.85 else 0.15) * float(depth.max())))
    return deep[rng.integers(len(deep), size=count)].astype(np.float64)


def _outer(rng: np.random.Generator, target: npt.NDArray[np.bool_], context: int, cut: npt.NDArray[np.bool_]) -> Points:
    """Return points on the faces, each in front of a voxel of the outermost plane of the target."""
    chance = rng.random()
    if chance < 0.05:  # only the box is known
        return np.zeros((0, 3))
    size, points = len(target), []
    box = ndimage.find_objects(target.astype(np.uint8))[0]
    careless = rng.uniform(0, 1.5) if rng.random() < 0.35 else 0.0
    for axis in range(3):
        faces = ((box[axis].start, context - 0.5), (box[axis].stop - 1, size - context - 0.5))
        for side, (plane, face) in enumerate(faces):
            if cut[axis].all():  # an image of a single slice has no faces there
                continue
            if (cut[axis, side] and rng.random() < 0.5) or (chance > 0.94 and rng.random() < 0.4):
                continue
            candidates = np.argwhere(np.take(target, plane, axis=axis))
            place = candidates[rng.integers(len(candidates))] + careless * rng.standard_normal(2)
            points.append(np.insert(np.clip(place, context - 0.5, size - context - 0.5), axis, face))
    return np.array(points).reshape(-1, 3)


def _others(rng: np.random.Generator, target: npt.NDArray[np.bool_], size: int) -> Points:
    """Return background points in the box close to the target, or mostly none."""
    if rng.random() > 0.12:
        return np.zeros((0, 3))
    near = ndimage.binary_dilation(target, iterations=int(rng.integers(3, 10)))
    outside = np.argwhere(near & ~ndimage.binary_dilation(target))
    if not len(outside):
        return np.zeros((0, 3))
    return outside[rng.integers(len(outside), size=int(rng.integers(1, 4)))].astype(np.float64)
