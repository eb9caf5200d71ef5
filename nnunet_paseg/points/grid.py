"""The voxel grid of an image, where world millimetres and voxel indices are converted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.geometry import Geometry, geometry_of
from nnunet_paseg.io.images import read_header

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FAR = 2**40
"""Largest voxel index of a point outside the grid: floating-point numbers may be too large for an integer."""


@dataclass(frozen=True)
class Grid:
    """The voxel grid of an image.

    Attributes:
        shape: Number of voxels (z, y, x).
        spacing_mm: Spacing (z, y, x).
        origin: Centre of the first voxel (x, y, z), world LPS millimetres.
        direction: Nine direction cosines, row by row, as in SimpleITK.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]

    @classmethod
    def from_geometry(cls, geometry: Geometry) -> Grid:
        """Return the grid in NumPy's order of axes."""
        x, y, z = geometry.size
        return cls((z, y, x), geometry.spacing[::-1], geometry.origin, geometry.direction)  # type: ignore[arg-type]

    @classmethod
    def from_image(cls, image: sitk.Image | sitk.ImageFileReader) -> Grid:
        """Return the grid of a SimpleITK image, or of a reader that has read the header of a file.

        Raises:
            PasegError: The image is not a single 3D volume, or its axes are sheared or no numbers.
        """
        return cls.from_geometry(geometry_of(image))

    @classmethod
    def from_file(cls, path: Path) -> Grid:
        """Return the grid of an image file, from its header alone.

        Raises:
            PasegError: The file is missing, no image, or not a single 3D volume.
        """
        header = read_header(path)
        try:
            return cls.from_image(header)
        except PasegError as error:
            raise PasegError(f"{path}: {error}") from error

    @property
    def geometry(self) -> Geometry:
        """The grid in SimpleITK's order of axes."""
        return Geometry(self.shape[::-1], self.spacing_mm[::-1], self.origin, self.direction)

    def _index_to_world(self) -> FloatArray:
        return self.geometry.affine[:3, :3]

    def to_world(self, voxels: npt.ArrayLike) -> FloatArray:
        """Convert (n, 3) voxel indices (z, y, x) to world LPS millimetres (x, y, z), infinite ones to NaN."""
        xyz = np.asarray(voxels, dtype=np.float64).reshape(-1, 3)[:, ::-1]
        with np.errstate(invalid="ignore", over="ignore"):
            return xyz @ self._index_to_world().T + np.asarray(self.origin)

    def to_indices(self, points: npt.ArrayLike) -> FloatArray:
        """Convert (n, 3) world LPS millimetres (x, y, z) to continuous indices (z, y, x), integers at voxel centres."""
        with np.errstate(invalid="ignore", over="ignore"):
            offset = np.asarray(points, dtype=np.float64).reshape(-1, 3) - np.asarray(self.origin)
            xyz = np.linalg.solve(self._index_to_world(), offset.T).T
        return np.asarray(xyz[:, ::-1])

    def to_voxels(self, points: npt.ArrayLike) -> IntArray:
        """Convert (n, 3) world LPS millimetres (x, y, z) to nearest voxel indices (z, y, x), also outside the grid."""
        indices = np.nan_to_num(np.rint(self.to_indices(points)), nan=-FAR, posinf=FAR, neginf=-FAR)
        return np.clip(indices, -FAR, FAR).astype(np.int64)

    def same_as(self, other: Grid) -> bool:
        """Return True if both grids have the same shape, and corners within a tenth of a voxel."""
        return self.geometry.is_same_grid(other.geometry)
