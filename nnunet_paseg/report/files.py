"""The label maps of a report: their values, and their grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_image
from nnunet_paseg.points.grid import Grid


def check_grid(labels: Path, image: Path) -> None:
    """Raise PasegError if a label map is not on the grid of its image.

    Raises:
        PasegError: The grids differ.
    """
    if not Grid.from_file(labels).same_as(Grid.from_file(image)):
        raise PasegError(f"{labels} and {image} are on different grids: resample the label map to the image.")


def read_labels(path: Path) -> sitk.Image:
    """Read a label map.

    Raises:
        PasegError: The file cannot be read, or its values are not integers.
    """
    image = read_image(path)
    array = sitk.GetArrayViewFromImage(image)
    if np.issubdtype(array.dtype, np.floating) and not np.array_equal(array, np.rint(array)):
        raise PasegError(
            f"{path}: not a label map: it contains values that are not integers; pass label maps, not images."
        )
    return sitk.Cast(image, sitk.sitkInt32)
