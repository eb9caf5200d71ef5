"""Medical image files, read in one way by every command."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError

if TYPE_CHECKING:
    import SimpleITK as sitk


def read_array(path: Path) -> npt.NDArray[Any]:
    """Voxel array (z, y, x) of a medical image file.

    Raises:
        PasegError: the file is missing, truncated or no image.
    """
    import SimpleITK as sitk  # some commands need none of this, and it loads slowly

    return sitk.GetArrayFromImage(read_image(path))


def read_voxels(path: Path) -> npt.NDArray[Any]:
    """Voxels as the file holds them, in any order of axes.

    NIfTI files are read by nibabel: SimpleITK reads NaN as 0 and what is missing of a truncated file as 0, in silence.

    Raises:
        PasegError: the file is truncated or damaged.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return read_array(path)
    import nibabel

    try:
        image: Any = nibabel.load(path)
        return np.asarray(image.dataobj.get_unscaled())
    except (OSError, EOFError, ValueError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        reason = str(error).splitlines()[0]
        raise PasegError(f"{path} is truncated or damaged ({reason}): copy or export it again.") from error


def read_image(path: Path) -> sitk.Image:
    """A medical image file.

    Raises:
        PasegError: the file is missing, truncated or no image.
    """
    import SimpleITK as sitk

    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise unreadable(path, error) from error


def read_header(path: Path) -> sitk.ImageFileReader:
    """The reader of a medical image file, which knows the file's header.

    Raises:
        PasegError: the file is missing, or no image.
    """
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise unreadable(path, error) from error
    return reader


def unreadable(path: Path, error: RuntimeError) -> PasegError:
    """What to say of an image that SimpleITK cannot read: that it is missing, or the reason that ITK gives."""
    if not path.exists():
        return PasegError(f"Cannot read the image {path}: it is missing.")
    # The reason comes last; a line "Reason:" below it is merely the last failure of the operating system, of any kind.
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("Reason: ")]
    reason = lines[-1].rpartition("ERROR: ")[2] if lines else type(error).__name__
    return PasegError(f"Cannot read the image {path} ({reason.rstrip('.!')}): copy or export it again.")
