"""Images that are written: compressed, atomically, and read back, since ITK reports no full disk."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.io.geometry import Geometry

if TYPE_CHECKING:
    import SimpleITK as sitk

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of the operating system that concern the output, whichever case it is."""


class OutputError(PasegError):
    """The output cannot be written, whichever case it is."""


def concerns_output(error: OSError, folder: Path) -> bool:
    """Return whether an error of the operating system is one of the output, and not of a file of a case.

    Args:
        error: Error of the operating system.
        folder: Output folder.
    """
    return error.errno in _FULL or any(folder in file.parents for file in files_of(error))


def files_of(error: OSError) -> list[Path]:
    """Return the files that an error of the operating system names."""
    return [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]


def write_bytes_image(voxels: npt.NDArray[np.uint8], geometry: Geometry, path: Path) -> None:
    """Write a label map, or probabilities from 0 to 255, atomically.

    Args:
        voxels: Voxels (z, y, x).
        geometry: Geometry of the image.
        path: Output file, ``.nii.gz``.

    Raises:
        OutputError: The file cannot be written.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    with atomic_output(path) as temporary:
        write_image(image, temporary)


def write_image(image: sitk.Image, path: Path) -> None:
    """Write a compressed image, and read it to its end.

    Raises:
        OutputError: The file cannot be written.
    """
    import SimpleITK as sitk

    size = image.GetNumberOfPixels() * image.GetSizeOfPixelComponent()
    try:
        sitk.WriteImage(image, str(path), useCompression=True)
        # ITK reports no full disk: the file is cut off silently.
        is_whole = _unpacked_size(path) >= size
    except (RuntimeError, OSError, EOFError) as error:
        raise OutputError(f"{path} cannot be written: make room on the disk and run the same command again.") from error
    if not is_whole:
        raise OutputError(f"{path} cannot be written: make room on the disk and run the same command again.")


def _unpacked_size(path: Path) -> int:
    size = 0
    with gzip.open(path) as file:
        while block := file.read(1 << 20):
            size += len(block)
    return size
