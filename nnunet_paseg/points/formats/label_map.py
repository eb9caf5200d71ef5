"""Points as single voxels of a label map, as PA-Seg published them (``{case}_7points.nii.gz``).

Voxel values: 1 = background and 2 = foreground of instance one, 3 and 4 = the same of instance two, and so on.
Such maps are painted in ITK-SNAP. Its label descriptions, saved next to them as ``labels.txt``, may name the values.
"""

from __future__ import annotations

import re
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_labels
from nnunet_paseg.points.formats.markups import ControlPoint, Markups
from nnunet_paseg.points.formats.text import read_text, shown
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

LABEL_FILE = "labels.txt"
MAX_PAINTED, MAX_POINTS = 1000, 10_000
"""A value with more voxels, or a map with more voxels in all, was painted as a mask, not as points."""


def read_label_map(path: Path, grid: Grid, class_name: str) -> list[Instance]:
    """Read the instances of a point label map.

    Args:
        path: Label map on the image's grid.
        grid: Grid of the image.
        class_name: Class of all instances, since the map contains no class names.

    Raises:
        PasegError: The map is a mask or on a different grid, a value is not a whole number, or an instance has no
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
        instances.append(Instance(class_name, grid.to_world(foreground), grid.to_world(background), in_voxels=True))
    return instances


def read_named_label_map(path: Path, grid: Grid) -> Markups | None:
    """Read the points of a label map whose values are named by the label descriptions next to it.

    Returns:
        Points, or None if all values have ITK-SNAP's default names ("Label 1"), which are ignored.

    Raises:
        PasegError: The map or the descriptions are invalid, or a value has no description.
    """
    values, names = _painted(path, grid), _names(path.with_name(LABEL_FILE))
    voxels = np.argwhere(values > 0)
    markups = Markups()
    for voxel, value in sorted(
        zip(voxels.tolist(), values[values > 0].astype(int).tolist(), strict=True), key=itemgetter(1)
    ):
        if value not in names:
            raise PasegError(
                f"{path} contains the value {value}, which has no name in {path.with_name(LABEL_FILE)}: add it there."
            )
        where = f"{path}, voxel {voxel} (z, y, x)"
        markups.points.append(ControlPoint(grid.to_world(voxel)[0], names[value], "", where, in_voxels=True))
    is_default = [re.fullmatch(r"label \d+", point.label.casefold()) for point in markups.points]
    return None if is_default and all(is_default) else markups


def _names(path: Path) -> dict[int, str]:
    """Read label names: lines of index, red, green, blue, opacity, visibility, mesh and "name"."""
    lines = [line for line in read_text(path).split("\n") if line.strip() and not line.lstrip().startswith("#")]
    matches = [re.fullmatch(r'\s*(\d{1,9})(?:\s+[\d.]+){6}\s+"(.*)"\s*', line) for line in lines]
    if not lines or not all(matches):
        unknown = next((line for line, match in zip(lines, matches, strict=True) if not match), "")
        raise PasegError(
            f"{path} contains no label descriptions in '{shown(unknown)}': save them from ITK-SNAP, or remove it."
        )
    names: dict[int, str] = {}
    for match in filter(None, matches):
        if names.setdefault(int(match[1]), match[2]) != match[2]:
            raise PasegError(f"{path} has two names of the value {match[1]}: delete one of them.")
    return names


def _painted(path: Path, grid: Grid) -> npt.NDArray[Any]:
    """Read the values of a point label map on the image's grid."""
    values, image = read_labels(path)
    if not Grid.from_image(image).same_as(grid):
        raise PasegError(f"{path} is not on its image's grid: paint the points on the image itself.")
    if values.min() < 0:
        raise PasegError(f"{path} is not a label map: its values must be whole numbers from 0.")
    present, counts = np.unique(values[values > 0], return_counts=True)
    if (counts > MAX_PAINTED).any() or counts.sum() > MAX_POINTS:
        value = int(present[counts.argmax()])
        raise PasegError(
            f"{path} has {counts.max()} voxels of value {value}, so it is a mask: paint single voxels as points. "
            "`paseg convert dense` simulates points from masks."
        )
    return values
