"""Masks of another tool: read, compared with the clicks, and cut at the faces of the boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunet_paseg.errors import PasegError
from nnunet_paseg.expansion.target_mask import TargetMask
from nnunet_paseg.io.images import read_labels
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import VoxelInstance

MAX_OUTSIDE = 0.1
"""Largest fraction of a mask that may be outside the box of its target without a warning."""


def read_mask(path: Path, grid: Grid, labels: Mapping[str, int]) -> npt.NDArray[np.integer]:
    """Read a mask (z, y, x).

    Args:
        path: Label map.
        grid: Grid of the image.
        labels: Label of every class.

    Raises:
        PasegError: The file is not a label map, is on a different grid, or contains other labels.
    """
    mask, image = read_labels(path)
    if not Grid.from_image(image).same_as(grid):
        raise PasegError(f"{path} is on a different grid than the image: resample the mask to the image.")
    if unknown := sorted(set(np.unique(mask).tolist()) - {0, *labels.values()}):
        meaning = ", ".join(f"{label} {name}" for name, label in labels.items())
        raise PasegError(f"{path} contains the label {unknown[0]}: expected 0 background, {meaning}.")
    return mask


def given_masks(
    mask: npt.NDArray[np.integer], instances: Sequence[VoxelInstance], labels: Mapping[str, int]
) -> tuple[list[TargetMask], list[str]]:
    """Compare a mask with the clicks.

    The mask of a target are the connected components of its label that reach into its box. Voxels in the box of a
    different target of the same class do not count as outside.

    Args:
        mask: Labels (z, y, x).
        instances: Points on the voxels of the mask.
        labels: Label of every class.

    Returns:
        The mask of every target, and warnings about components that are in no box.
    """
    found: dict[int, TargetMask] = {}
    warnings = []
    for name, label in labels.items():
        of_class = {number: each for number, each in enumerate(instances) if each.label == label}
        components, count = ndimage.label(mask == label, np.ones((3, 3, 3)))
        in_a_box = np.zeros(mask.shape, dtype=bool)
        for instance in of_class.values():
            in_a_box[instance.box] = True
        voxels = np.bincount(components.ravel(), minlength=count + 1)
        outside = voxels - np.bincount(components[in_a_box], minlength=count + 1)
        for number, instance in of_class.items():
            own = np.unique(components[instance.box])
            own = own[own > 0]
            found[number] = _target_mask(mask, instance, int(voxels[own].sum()), int(outside[own].sum()))
        if strays := int(outside[1:][outside[1:] == voxels[1:]].sum()):
            warnings.append(f"{strays} voxels of the mask of class {name} are in components outside every box")
    return [found[number] for number in range(len(instances))], warnings


def _target_mask(mask: npt.NDArray[np.integer], instance: VoxelInstance, voxels: int, outside: int) -> TargetMask:
    inside: npt.NDArray[Any] = mask[instance.box] == instance.label
    problems = []
    missed = [point.tolist() for point in instance.foreground if mask[tuple(point)] != instance.label]
    wrong = [point.tolist() for point in instance.background if mask[tuple(point)] == instance.label]
    remedy = "correct the mask or the points"
    if not inside.any():
        problems.append(f"its mask is empty in its box: {remedy}")
    elif missed:
        problems.append(f"its mask misses the foreground point in voxel {missed[0]} (z, y, x): {remedy}")
    if wrong:
        problems.append(f"its mask contains the background point in voxel {wrong[0]} (z, y, x): {remedy}")
    if voxels and outside / voxels > MAX_OUTSIDE:
        problems.append(f"{outside / voxels:.0%} of its mask are outside its box and not written: {remedy}")
    kept = voxels - outside
    confidence = 0.0 if missed else 2 * kept / (voxels + kept)
    return TargetMask(inside.astype(np.float32), confidence, problems)
