"""The geometry of images as SimpleITK reads them, and one rule for two images on the same grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError

if TYPE_CHECKING:
    import SimpleITK as sitk

FloatArray = npt.NDArray[np.float64]

TOLERANCE = 0.1
"""Largest distance between the corners of equal grids, in voxels: headers in single precision reach 0.06."""

_MAX_SHEAR = 0.01


@dataclass(frozen=True)
class Geometry:
    """The geometry of a 3D image, in SimpleITK's order of axes.

    Attributes:
        size: Number of voxels (x, y, z).
        spacing: Spacing (x, y, z) in mm.
        origin: Centre of the first voxel (x, y, z), world LPS millimetres.
        direction: Nine direction cosines, row by row.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @property
    def affine(self) -> FloatArray:
        """Matrix (4, 4) from voxel indices (x, y, z) to world LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing)
        matrix[:3, 3] = self.origin
        return matrix

    def is_same_grid(self, other: Geometry) -> bool:
        """Return True if both grids have the same size and corners within :data:`TOLERANCE`."""
        return self.size == other.size and corner_distance(self.affine, other.affine, self.size) <= TOLERANCE


def geometry_of(image: sitk.Image | sitk.ImageFileReader) -> Geometry:
    """Return the geometry of a 3D image, or of a reader that has read the header of a 3D image.

    Axes of negative spacing are turned round, as SimpleITK does when it reads the voxels.

    Raises:
        PasegError: The image is not 3D, has several values per voxel, or its axes are sheared or no numbers.
    """
    import SimpleITK as sitk

    size = image.GetSize()
    if len(size) != 3:
        raise PasegError(
            f"Expected a 3D image, got {len(size)} dimensions of size {size}: save each 3D volume as a file of its "
            "own ({case}_0000.nii.gz, {case}_0001.nii.gz, ... for the channels of a case), and a 2D image as a "
            "volume of one slice."
        )
    values = image.GetNumberOfComponentsPerPixel() if isinstance(image, sitk.Image) else image.GetNumberOfComponents()
    if values != 1:
        raise PasegError(
            f"Expected one value per voxel, got {values}: save each channel as a file of its "
            "own ({case}_0000.nii.gz, {case}_0001.nii.gz, ...)."
        )
    return as_read(size, image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def as_read(
    size: Sequence[int], spacing: Sequence[float], origin: Sequence[float], direction: Sequence[float]
) -> Geometry:
    """Return the geometry with positive spacing.

    Raises:
        PasegError: The spacing is zero, a number is not finite, or the axes are sheared.
    """
    signed, axes = np.asarray(spacing, dtype=np.float64), np.reshape(direction, (3, 3)).astype(np.float64)
    if not (np.isfinite([*signed, *origin, *axes.ravel()]).all() and (signed != 0).all()):
        raise PasegError(
            f"The header has a spacing of {tuple(spacing)}, an origin of {tuple(origin)} and the directions "
            f"{tuple(direction)}: repair it, or export the image again."
        )
    if np.abs(axes.T @ axes - np.eye(3)).max() > _MAX_SHEAR:
        raise PasegError(
            f"The axes of the image are not at right angles, its directions are {np.round(axes, 3).tolist()}: "
            "resample it to a grid without shear."
        )
    axes = axes * np.sign(signed)
    return Geometry(tuple(size), tuple(np.abs(signed).tolist()), tuple(origin), tuple(axes.ravel().tolist()))


def corner_distance(one: FloatArray, other: FloatArray, size: Sequence[int]) -> float:
    """Return the largest distance between the corners of two grids, in voxels of the first along any axis.

    Args:
        one: Matrix (4, 4) from voxel indices (x, y, z) to world millimetres.
        other: Matrix of the other grid.
        size: Number of voxels (x, y, z) of both.
    """
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in size], indexing="ij"), -1).reshape(-1, 3)
    # Differences first: far from the world's origin, the corners themselves have few digits left.
    apart = corners @ (other - one)[:3, :3].T + (other - one)[:3, 3]
    return float(np.abs(np.linalg.solve(one[:3, :3], apart.T)).max())
