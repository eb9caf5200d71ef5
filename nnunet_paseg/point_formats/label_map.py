"""Points as single voxels of a label map, as PA-Seg published them (``{case}_7points.nii.gz``).

Voxel values: 1 = background and 2 = foreground of instance one, 3 and 4 the same of instance two, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.files import moved_into_place, read_array
from nnunet_paseg.points import Grid, Instance


def read_label_map(path: Path, grid: Grid, class_name: str) -> list[Instance]:
    """Instances of a point label map.

    Args:
        path: label map on the image's grid.
        grid: the image's grid.
        class_name: class of every instance, since the map names none.

    Raises:
        PasegError: another grid than the image's, values that are no whole numbers, or an instance without a
            foreground voxel.
    """
    own = Grid.from_file(path)
    if not own.same_as(grid):
        raise PasegError(f"{path} is not on its image's grid: points as voxels must be painted on the image itself.")
    values = read_array(path)
    if not np.array_equal(values, np.rint(values)) or values.min() < 0:
        raise PasegError(f"{path} is no label map: its values must be whole numbers from 0.")
    instances = []
    for number in range(1, (int(values.max()) + 1) // 2 + 1):
        background, foreground = np.argwhere(values == 2 * number - 1), np.argwhere(values == 2 * number)
        if not len(foreground):
            raise PasegError(
                f"{path}: instance {number} has no foreground voxel (value {2 * number}). "
                "Values are 1, 3, ... for background and 2, 4, ... for foreground points of instance 1, 2, ..."
            )
        instances.append(Instance(class_name, grid.to_world(foreground), grid.to_world(background)))
    return instances


def write_label_map(instances: Sequence[Instance], image: sitk.Image, path: Path) -> None:
    """Write instances as single voxels on ``image``'s grid."""
    grid = Grid.from_image(image)
    values = np.zeros(grid.shape, dtype=np.uint8)
    for number, instance in enumerate(instances, start=1):
        values[tuple(grid.to_voxels(instance.background).T)] = 2 * number - 1
        values[tuple(grid.to_voxels(instance.foreground).T)] = 2 * number
    label_map = sitk.GetImageFromArray(values)
    label_map.CopyInformation(image)
    with moved_into_place(path) as temporary:
        sitk.WriteImage(label_map, str(temporary), useCompression=True)
