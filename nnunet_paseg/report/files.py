"""The image files of a report: which there are, what they hold, and whether they fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import read_image
from nnunet_paseg.points.grid import Grid


def check_grid(labels: Path, image: Path) -> None:
    """Refuse a label map that does not lie on its image's voxels.

    Raises:
        PasegError: names both files and the remedy.
    """
    if not Grid.from_file(labels).same_as(Grid.from_file(image)):
        raise PasegError(f"{labels} and {image} are on different grids: resample the label map to the image.")


def read_labels(path: Path) -> sitk.Image:
    """A label map.

    Raises:
        PasegError: the file cannot be read, or holds values that are no labels.
    """
    image = read_image(path)
    array = sitk.GetArrayViewFromImage(image)
    if np.issubdtype(array.dtype, np.floating) and not np.array_equal(array, np.rint(array)):
        raise PasegError(
            f"{path}: not a label map: it holds values that are not integers; pass label maps, not images."
        )
    return sitk.Cast(image, sitk.sitkInt32)
