"""Windows: boxes of voxels that are cut out of a volume, and their grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import VoxelInstance

Window = tuple[slice, slice, slice]


def around(mask: npt.NDArray[Any], size: Sequence[int] | None, *, margin: int = 0) -> Window:
    """Return a window around the bounding box of a mask's non-zero voxels.

    Args:
        mask: Mask (z, y, x).
        size: Size (z, y, x) of the window in voxels. The window is centred on the bounding box, moved into the volume
            where it would leave it, and at most as large as the volume. None takes the bounding box itself.
        margin: Number of voxels to add on all sides of the bounding box, within the volume.

    Raises:
        PasegError: The mask is empty.
    """
    if not mask.any():
        raise PasegError("The mask is empty, so there is nothing to crop around: convert whole images.")
    sides = []
    for axis, length in enumerate(mask.shape):
        others = tuple(other for other in range(3) if other != axis)
        marked = np.flatnonzero(mask.any(axis=others))
        first, last = int(marked[0]), int(marked[-1])
        if size is None:
            sides.append(slice(max(first - margin, 0), min(last + margin + 1, length)))
        else:
            start = max(0, min((first + last) // 2 - size[axis] // 2, length - size[axis]))
            sides.append(slice(start, min(start + size[axis], length)))
    return sides[0], sides[1], sides[2]


def bounding_window(instances: Sequence[VoxelInstance]) -> Window | None:
    """Return the smallest window that contains the boxes of all instances, or None without instances."""
    if not instances:
        return None
    sides = [
        slice(min(side.start for side in of_axis), max(side.stop for side in of_axis))
        for of_axis in zip(*(instance.box for instance in instances), strict=True)
    ]
    return sides[0], sides[1], sides[2]


def crop_grid(grid: Grid, window: Window) -> Grid:
    """Return the grid of a window."""
    return replace(
        grid,
        shape=(
            window[0].stop - window[0].start,
            window[1].stop - window[1].start,
            window[2].stop - window[2].start,
        ),
        origin=tuple(grid.to_world([side.start for side in window])[0].tolist()),  # type: ignore[arg-type]
    )


def crop_image(image: sitk.Image, window: Window) -> sitk.Image:
    """Return the part of an image in a window; its voxels keep their world coordinates."""
    z, y, x = window
    return image[x.start : x.stop, y.start : y.stop, z.start : z.stop]


def shifted(instance: VoxelInstance, offset: npt.NDArray[np.integer]) -> VoxelInstance:
    """Return a target on the voxels of a window, whose first voxel is at minus the offset (z, y, x)."""
    z, y, x = (slice(int(s.start + o), int(s.stop + o)) for s, o in zip(instance.box, offset, strict=True))
    return replace(
        instance,
        foreground=instance.foreground + offset,
        background=instance.background + offset,
        extremes=instance.extremes + offset,
        box=(z, y, x),
    )
