"""Simulated clicks: seven points per target of a dense mask, for studies, tests and the demo."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

MARGIN = (1, 3)
"""Default smallest and largest distance of a background point from its face, in voxels."""

MIN_VOXELS = 10
"""Smallest connected component, in voxels, that an annotator would click; smaller ones are specks of the mask."""


def simulate_points(
    mask: npt.NDArray[np.integer],
    grid: Grid,
    class_names: dict[str, int],
    rng: np.random.Generator,
    *,
    margin: tuple[int, int] = MARGIN,
) -> list[Instance]:
    """Simulate seven points for every connected component of every class.

    One point is the component's deepest interior voxel. Six points are ``margin`` voxels outside the faces of its
    bounding box, each in front of a random voxel of the component's outermost plane, clipped at the border of the
    image. In an image of a single slice there are four of them. Components below :data:`MIN_VOXELS` are skipped,
    unless a class has no larger one.

    Args:
        mask: Dense label map (z, y, x).
        grid: Grid of the mask.
        class_names: Label by class name, without background and ignore.
        rng: Random number generator.
        margin: Smallest and largest distance of a background point from its face, in voxels; 0 is the outermost plane.

    Returns:
        One :class:`Instance` per component, classes in the order of their labels.
    """
    instances = []
    neighbours = np.ones((3, 3, 3), dtype=bool)
    for name, label in sorted(class_names.items(), key=lambda item: item[1]):
        components, count = ndimage.label(mask == label, structure=neighbours)
        sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
        for index, box in enumerate(ndimage.find_objects(components), start=1):
            if sizes[index - 1] < min(MIN_VOXELS, sizes.max()):
                continue
            foreground, background = _click(components[box] == index, box, grid, rng, margin)
            instances.append(Instance(name, grid.to_world(foreground), grid.to_world(background)))
    return instances


def _click(
    component: npt.NDArray[np.bool_],
    box: tuple[slice, slice, slice],
    grid: Grid,
    rng: np.random.Generator,
    margin: tuple[int, int],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    start = np.array([side.start for side in box])
    axes = np.flatnonzero(np.asarray(grid.shape) > 1)
    pad = np.isin(np.arange(3), axes).astype(int)
    depth = ndimage.distance_transform_edt(np.pad(component, np.stack([pad, pad], 1)), sampling=grid.spacing_mm)
    deepest = np.array(np.unravel_index(depth.argmax(), depth.shape)) - pad
    background = []
    for axis in axes:
        for plane, sign in ((0, -1), (component.shape[axis] - 1, 1)):
            candidates = np.argwhere(np.take(component, [plane], axis=axis))
            voxel = start + rng.choice(candidates)
            voxel[axis] = start[axis] + plane + sign * rng.integers(margin[0], margin[1] + 1)
            background.append(np.clip(voxel, 0, np.asarray(grid.shape) - 1))
    return (start + deepest)[None], np.stack(background)
