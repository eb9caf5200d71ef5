"""Images, masks and label maps of a case: reading masks, writing or linking files."""

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
from nnunet_paseg.io.writing import write_bytes_image, write_image
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.windows import Window, crop_image

MAX_NAMED = 5
"""Most values that a message names."""


def image_name(identifier: str, channel: int) -> str:
    """Return nnU-Net's file name of a channel."""
    return f"{identifier}_{channel:04d}.nii.gz"


def place_image(
    source: Source, path: Path | None, *, mode: ImageMode, window: Window | None, read: bool
) -> sitk.Image | None:
    """Copy, link or write one channel of a case to its place in the dataset.

    Args:
        source: Source of the voxels.
        path: Output file. None writes nothing.
        mode: Kind of output: a copy, a hard link or (``reference``) a symbolic link.
        window: Part of the image to keep. None keeps the whole image.
        read: Whether the image is returned.

    Returns:
        The image as it is in the dataset, or None if its voxels are not needed.

    Raises:
        PasegError: The voxels cannot be used, or the link cannot be created.
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
            write_image(image, temporary)
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
            f"{source} cannot be hard-linked into {path.parent} ({error.strerror}): hard links require one file "
            "system. Pass --images reference or copy."
        ) from error


def read_mask(source: Source, grid: Grid, plan: DatasetPlan) -> npt.NDArray[np.uint8]:
    """Read a dense mask (z, y, x) as the labels of the planned dataset.

    Raises:
        PasegError: The mask is on a different grid, or has values of no class.
    """
    if not source.grid().same_as(grid):
        raise PasegError(f"{source.path} is not on the grid of its image: resample the mask to the image.")
    image = source.read()
    voxels = sitk.GetArrayViewFromImage(image)
    mapping = {0: 0, **(plan.mask_labels or {label: label for label in plan.labels.values()})}
    result = np.zeros(voxels.shape, dtype=np.uint8)
    unknown: set[float] = set()
    # Slice by slice, because np.unique and comparisons of a whole volume take several times its memory.
    for plane, labels in zip(voxels, result, strict=True):
        for value in np.unique(plane).tolist():
            if value in mapping:
                labels[plane == value] = mapping[value]
            else:
                unknown.add(value)
    if unknown:
        raise PasegError(
            f"{source.path} contains the values {_some(unknown)}, which belong to no class of "
            f"{list(plan.class_names)}: correct the mask or the classes."
        )
    return result


def _some(values: set[float]) -> str:
    """Return the first values as a list: an image in the place of a mask has thousands."""
    more = f" and {len(values) - MAX_NAMED} more" if len(values) > MAX_NAMED else ""
    return f"{sorted(values)[:MAX_NAMED]}{more}"


def write_labels(labels: npt.NDArray[np.uint8], grid: Grid, path: Path) -> None:
    """Write a label map (z, y, x) on a grid."""
    write_bytes_image(labels, grid.geometry, path)
