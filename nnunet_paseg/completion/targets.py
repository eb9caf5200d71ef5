"""Targets of a case on the grid of its image, and the windows around them in which probabilities are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.completion.dataset import TrainingCase
from nnunet_paseg.completion.reliability import Measure, measure
from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.csv import read_csv
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance, VoxelInstance, place_on_grid
from nnunet_paseg.points.windows import Window, shifted
from nnunet_paseg.seeds.learned.predict import context_window

Bytes = npt.NDArray[np.uint8]


def read_targets(case: TrainingCase, labels: dict[str, int]) -> tuple[Grid, list[Instance], list[VoxelInstance]]:
    """Return the grid of a clicked case, its targets, and the targets on the grid.

    Args:
        case: Case with points.
        labels: Label by class name.

    Raises:
        PasegError: The channels are on different grids, or the points do not fit the image.
    """
    assert case.points is not None
    grid = Grid.from_file(case.images[0])
    for path in case.images[1:]:
        if not Grid.from_file(path).same_as(grid):
            raise PasegError(f"{path} and {case.images[0]} are on different grids: resample them to the same grid.")
    instances = read_csv(case.points)
    try:
        return grid, instances, [place_on_grid(instance, grid, labels) for instance in instances]
    except PasegError as error:
        raise PasegError(f"{case.points}: {error}") from error


def window_around(target: VoxelInstance, shape: Sequence[int]) -> Window:
    """Return the window in which the probabilities of a target are kept: a mask may reach beyond its box."""
    return context_window([target.box], shape)


def start_of(window: Window) -> npt.NDArray[np.int64]:
    """Return the first index (z, y, x) of a window."""
    return np.array([side.start for side in window])


def measures(targets: Sequence[VoxelInstance], windows: Sequence[Window], arrays: Sequence[Bytes]) -> list[Measure]:
    """Measure one source on every target.

    Args:
        targets: Targets on the grid of the image.
        windows: Part of the image of every array.
        arrays: Probability (z, y, x) in the window of every target, 0 to 255 for p from 0 to 1.
    """
    result = []
    for target, window, array in zip(targets, windows, arrays, strict=True):
        others = (
            _within(other.box, window) for other in targets if other is not target and other.label == target.label
        )
        result.append(measure(array, shifted(target, -start_of(window)), [box for box in others if box is not None]))
    return result


def _within(box: Window, window: Window) -> Window | None:
    """Return the part of a box in a window, on the voxels of the window; None if there is none."""
    sides = [
        slice(max(a.start, b.start) - b.start, min(a.stop, b.stop) - b.start) for a, b in zip(box, window, strict=True)
    ]
    return None if any(side.start >= side.stop for side in sides) else (sides[0], sides[1], sides[2])


def facts(state: Any, options: str, targets: Sequence[VoxelInstance], found: Sequence[Measure]) -> dict[str, Any]:
    """Return what a file of probabilities states: its input files, and the measure and label of every target."""
    return {
        "made_of": state,
        "options": options,
        "targets": [{"label": target.label, **asdict(each)} for target, each in zip(targets, found, strict=True)],
    }


def image_names(case: TrainingCase) -> str:
    """Return the image files of a case for a message."""
    return ", ".join(str(Path(path)) for path in case.images)
