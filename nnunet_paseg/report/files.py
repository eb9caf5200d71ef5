"""The label maps of a report: their values, and their grid."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io import images
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
    return sitk.Cast(images.read_labels(path)[1], sitk.sitkInt32)
