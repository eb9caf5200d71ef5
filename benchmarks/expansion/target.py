"""A target of the benchmark: its image, its mask and its simulated clicks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunet_paseg.points.instance import VoxelInstance

MARGIN = 12
"""Voxels around a target, in addition to the length of its bounding box on every side: more than any method reads."""


@dataclass(frozen=True, eq=False)
class Target:
    """One target and its surroundings, cut out of an image.

    Attributes:
        dataset: Name of the dataset's folder.
        kind: Name of the target, such as ``"left kidney"``.
        case: Case identifier.
        image: Intensities (c, z, y, x). It ends at the border of the whole image, or beyond what a method reads.
        mask: Reference mask (z, y, x) on the same voxels.
        spacing_mm: Spacing (z, y, x).
        draws: Simulated clicks on the same voxels, one per draw.
    """

    dataset: str
    kind: str
    case: str
    image: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]
    draws: tuple[VoxelInstance, ...] = ()


def largest_component(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the largest 26-connected component; an empty mask stays empty."""
    components, _ = ndimage.label(mask, structure=np.ones((3, 3, 3), dtype=bool))
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray((components == sizes.argmax()) & mask)


def cut_out(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Return the window of a target and its surroundings, clipped at the border of the image."""
    [box] = ndimage.find_objects(mask.astype(np.uint8))
    sides = [
        slice(max(0, 2 * side.start - side.stop - MARGIN), min(length, 2 * side.stop - side.start + MARGIN))
        for side, length in zip(box, mask.shape, strict=True)
    ]
    return sides[0], sides[1], sides[2]
