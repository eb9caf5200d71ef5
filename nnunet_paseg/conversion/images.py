"""How a case's images and label maps get into a dataset."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.conversion.plan import DatasetPlan, ImageMode
from nnunet_paseg.conversion.sources import ImageFile, Source
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.windows import Window, crop_image


def image_name(identifier: str, channel: int) -> str:
    """nnU-Net's name of a channel's file."""
    return f"{identifier}_{channel:04d}.nii.gz"


def place_image(
    source: Source, path: Path | None, *, mode: ImageMode, window: Window | None, read: bool
) -> sitk.Image | None:
    """Put one channel of a case where the dataset wants it.

    Args:
        source: the voxels.
        path: the file to be; None writes nothing.
        mode: whether the file is a copy, a hard link or (``reference``) a symbolic link.
        window: part of the image to keep; None keeps all of it.
        read: return the image.

    Returns:
        The image as it is in the dataset, or None where nobody needs its voxels.

    Raises:
        PasegError: the voxels cannot be used, or no link can be made.
    """
    is_as_needed = isinstance(source, ImageFile) and source.path.name.endswith(".nii.gz") and window is None
    image = None
    if read or not is_as_needed:
        image = source.read()
        image = image if window is None else crop_image(image, window)
    else:
        source.check()
    if path is None:
        return image
    with atomic_output(path) as temporary:
        if not is_as_needed and image is not None:
            _write(image, temporary)
        elif mode == "reference":
            temporary.symlink_to(source.path.resolve())
        elif mode == "link":
            _hard_link(source.path, temporary)
        else:
            shutil.copyfile(source.path, temporary)
    return image


def _hard_link(source: Path, path: Path) -> None:
    try:
        os.link(source.resolve(), path)
    except OSError as error:
        raise PasegError(
            f"{source} cannot be hard-linked into {path.parent} ({error.strerror}): links do not reach across file "
            "systems. Pass --images reference or copy."
        ) from error


def read_mask(source: Source, grid: Grid, plan: DatasetPlan) -> npt.NDArray[np.uint8]:
    if not source.grid().same_as(grid):
        raise PasegError(f"{source.path} is not on its image's grid: resample the mask to the image.")
    image = source.read()
    voxels = sitk.GetArrayViewFromImage(image)
    mapping = {0: 0, **(plan.mask_labels or {label: label for label in plan.labels.values()})}
    result = np.zeros(voxels.shape, dtype=np.uint8)
    unknown: set[float] = set()
    # Slice by slice: np.unique and comparisons of a whole volume would be several times its size.
    for plane, labels in zip(voxels, result, strict=True):
        for value in np.unique(plane).tolist():
            if value in mapping:
                labels[plane == value] = mapping[value]
            else:
                unknown.add(value)
    if unknown:
        raise PasegError(
            f"{source.path} holds the values {sorted(unknown)}, which no class of {list(plan.class_names)} explains."
        )
    return result


def write_labels(labels: npt.NDArray[np.uint8], grid: Grid, path: Path) -> None:
    """Write a label map (z, y, x) on a grid."""
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    with atomic_output(path) as temporary:
        _write(image, temporary)


def _write(image: sitk.Image, path: Path) -> None:
    try:
        sitk.WriteImage(image, str(path), useCompression=True)
    except RuntimeError as error:
        raise PasegError(f"{path} cannot be written: is the disk full? Make room and start again.") from error
