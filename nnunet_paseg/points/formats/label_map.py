"""Points as single voxels of a label map, as PA-Seg published them (``{case}_7points.nii.gz``).

Voxel values: 1 = background and 2 = foreground of instance one, 3 and 4 the same of instance two, and so on. ITK-SNAP
paints such maps; its label descriptions, saved beside them as ``labels.txt``, may name the values instead.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import read_array
from nnunet_paseg.points.formats.markups import ControlPoint, Markups
from nnunet_paseg.points.formats.text import read_text
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

LABEL_FILE = "labels.txt"
MAX_PAINTED = 1000
"""More voxels than this of one value were painted as a mask, not as points."""


def read_label_map(path: Path, grid: Grid, class_name: str) -> list[Instance]:
    """Instances of a point label map.

    Args:
        path: label map on the image's grid.
        grid: the image's grid.
        class_name: class of every instance, since the map names none.

    Raises:
        PasegError: another grid than the image's, values that are no whole numbers, a mask, or an instance without a
            foreground voxel.
    """
    values = _painted(path, grid)
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


def read_named_label_map(path: Path, grid: Grid) -> Markups:
    """Points of a label map whose values are named by the label descriptions beside it.

    Raises:
        PasegError: a map or descriptions that cannot be used, or a value that they do not name.
    """
    values, names = _painted(path, grid), _names(path.with_name(LABEL_FILE))
    markups = Markups(in_world=False)
    for value in np.unique(values[values > 0]).astype(int).tolist():
        if value not in names:
            raise PasegError(f"{path} holds the value {value}, which {path.with_name(LABEL_FILE)} does not name.")
        for voxel in np.argwhere(values == value):
            where = f"{path}, voxel {voxel.tolist()} (z, y, x)"
            markups.points.append(ControlPoint(grid.to_world(voxel)[0], names[value], "", where))
    return markups


def _names(path: Path) -> dict[int, str]:
    """Label names of ITK-SNAP's descriptions: index, red, green, blue, opacity, visibility, mesh, "name"."""
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    matches = [re.fullmatch(r'\s*(\d+)(?:\s+[\d.]+){6}\s+"(.*)"\s*', line) for line in lines]
    if not lines or not all(matches):
        raise PasegError(f"{path} holds no label descriptions: save them from ITK-SNAP, or remove it.")
    return {int(match[1]): match[2] for match in matches if match}


def _painted(path: Path, grid: Grid) -> npt.NDArray[Any]:
    """Values of a point label map on the image's grid."""
    if not Grid.from_file(path).same_as(grid):
        raise PasegError(f"{path} is not on its image's grid: points as voxels must be painted on the image itself.")
    values = read_array(path)
    if not np.array_equal(values, np.rint(values)) or values.min() < 0:
        raise PasegError(f"{path} is no label map: its values must be whole numbers from 0.")
    present, counts = np.unique(values[values > 0], return_counts=True)
    if (counts > MAX_PAINTED).any():
        value = int(present[counts.argmax()])
        raise PasegError(
            f"{path} holds {counts.max()} voxels of value {value}: is it a mask? Points are single voxels; "
            "dataset_conversion/from_dense_dataset.py simulates them from masks."
        )
    return values
