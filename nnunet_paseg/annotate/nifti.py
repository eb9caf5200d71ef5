"""Images of any format as uncompressed NIfTI for the viewer, with the geometry of the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import HeaderDataError

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import Grid

RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ras_affine(grid: Grid) -> npt.NDArray[np.float64]:
    """Return the matrix (4, 4) from voxel indices (x, y, z) of the file to world RAS millimetres."""
    return np.asarray(RAS_FROM_LPS @ grid.geometry.affine)


def nifti_stream(voxels: npt.NDArray[Any], grid: Grid) -> tuple[int, Iterator[bytes]]:
    """Return the size of an image as NIfTI, and its content in blocks: a copy of one plane at a time.

    The header has one affine, that of SimpleITK: viewers choose between qform and sform by rules of their own.

    Args:
        voxels: Voxels (z, y, x).
        grid: Grid of the image.

    Raises:
        PasegError: The image has more voxels along an axis than NIfTI allows.
    """
    dtype = display_type(voxels)
    header = Nifti1Header(endianness="<")
    try:
        header.set_data_shape(grid.geometry.size)
    except HeaderDataError as error:
        raise PasegError(f"The image has {grid.geometry.size} voxels, too many for the viewer: crop it.") from error
    header.set_data_dtype(dtype)
    header.set_zooms(grid.geometry.spacing)
    header.set_sform(ras_affine(grid), code=1)
    header.set_xyzt_units("mm")
    header["magic"], header["vox_offset"] = b"n+1", 352
    start = header.binaryblock + bytes(4)
    planes = (np.ascontiguousarray(plane, dtype).tobytes() for plane in voxels)
    return len(start) + voxels.size * dtype.itemsize, _chain(start, planes)


def display_type(voxels: npt.NDArray[Any]) -> np.dtype[Any]:
    """Return the smallest type of the viewer for all values: 8 or 16 bits for integers in their range, else float."""
    if voxels.dtype.kind in "iu":
        low, high = int(voxels.min()), int(voxels.max())
        for name in ("u1", "<i2", "<u2"):
            limits = np.iinfo(name)
            if limits.min <= low and high <= limits.max:
                return np.dtype(name)
    return np.dtype("<f4")


def _chain(start: bytes, planes: Iterator[bytes]) -> Iterator[bytes]:
    yield start
    yield from planes
