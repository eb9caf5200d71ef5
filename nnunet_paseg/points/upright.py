"""Volumes in the patient's axes, whatever the orientation of the scan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.points.grid import Grid


def upright(array: npt.NDArray[Any], grid: Grid) -> tuple[npt.NDArray[Any], Grid]:
    """Return a view of a volume (z, y, x) whose axes run as those of LPS, and its grid. No voxel is copied.

    Args:
        array: Voxels on the grid.
        grid: Grid of the image.
    """
    voxel = sitk.Image(1, 1, 1, sitk.sitkUInt8)
    voxel.SetDirection(grid.direction)
    orient = sitk.DICOMOrientImageFilter()
    orient.SetDesiredCoordinateOrientation("LPS")
    orient.Execute(voxel)
    axes = list(orient.GetPermuteOrder())  # of (x, y, z), for every new axis its old one
    flipped = np.array(orient.GetFlipAxes())
    geometry = grid.geometry
    directions = np.reshape(geometry.direction, (3, 3))[:, axes] * np.where(flipped, -1, 1)
    size = np.array(geometry.size)
    first = np.zeros(3)
    first[axes] = np.where(flipped, size[axes] - 1, 0)
    turned = np.transpose(array, [2 - axis for axis in axes[::-1]])
    turned = turned[tuple(slice(None, None, -1 if flip else 1) for flip in flipped[::-1])]
    return turned, replace(
        grid,
        shape=turned.shape,
        spacing_mm=tuple(geometry.spacing[axis] for axis in axes[::-1]),
        origin=tuple(grid.to_world(first[::-1])[0].tolist()),
        direction=tuple(directions.ravel().tolist()),
    )
