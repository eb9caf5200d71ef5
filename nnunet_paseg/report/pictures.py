"""The picture of a case: an axial, a coronal and a sagittal slice, one row each, and one column per label map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from nnunet_paseg.plotting.comparison import panel_table
from nnunet_paseg.plotting.figures import to_png
from nnunet_paseg.plotting.panels import FigureRow, MarkedPoints, Panel
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

PLANES = (("axial", (0, 1, 2)), ("coronal", (1, 0, 2)), ("sagittal", (2, 0, 1)))
"""Name of a plane, and the image's axes (z, y, x) in the order across it, its rows, its columns."""
MARGIN, MIN_VOXELS = 0.25, 10
"""Margin around everything labelled, in lengths of its longest side, and its minimum in voxels of the finest axis."""

Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class CaseVolumes:
    """All that is drawn of a case, on the grid of the image.

    Attributes:
        image: First channel.
        prediction: Predicted label map, if available.
        reference: Dense label map, if available.
        seeds: Training label map, if available.
        ignore_label: Ignore label of the seeds.
        instances: Points of the targets, if available.
        dice: Mean Dice of the prediction, NaN without a reference.
    """

    image: sitk.Image
    prediction: sitk.Image | None = None
    reference: sitk.Image | None = None
    seeds: sitk.Image | None = None
    ignore_label: int | None = None
    instances: Sequence[Instance] | None = None
    dice: float = np.nan


def case_picture(case: CaseVolumes, labels: Mapping[str, int]) -> bytes:
    """Draw a case.

    The slices are those with the largest area of the reference, or of the prediction if there is no reference. They
    show the patient upright, whatever the orientation of the scan, and everything labelled with a margin.

    Args:
        case: Image and label maps.
        labels: Label by class name, for the colours of the points.

    Returns:
        Content of a PNG file, without a legend.
    """
    grid = Grid.from_image(_upright(case.image))
    image = _array(case.image).astype(np.float32)
    given = {"seeds": case.seeds, "prediction": case.prediction, "reference": case.reference}
    maps = {name: _array(one) for name, one in given.items() if one is not None}
    points = _mark(case.instances or (), grid, labels)
    window = _window(grid, list(maps.values()), points)
    focus = _focus(maps, case.ignore_label)
    note = "" if np.isnan(case.dice) else f"Dice {case.dice:.2f}"
    rows = []
    for plane, axes in PLANES:
        cut = _Cut(window, axes)
        shown = {name: cut.volume(labels) for name, labels in maps.items()}
        panels = {"image": Panel()}
        if "seeds" in shown or points is not None:
            panels["points and seeds"] = Panel(shown.get("seeds"), cut.points(points), ignore_label=case.ignore_label)
        if "prediction" in shown:
            panels["prediction"] = Panel(shown["prediction"], with_reference=True, note=note)
        if "reference" in shown:
            panels["reference"] = Panel(shown["reference"])
        spacing_mm = [grid.spacing_mm[axis] for axis in axes]
        chosen = None if focus is None else cut.volume(focus)
        row = FigureRow(plane, cut.volume(image), spacing_mm, list(panels.values()), shown.get("reference"), chosen)
        rows.append(row)
    return to_png(panel_table(rows, list(panels)))


class _Cut:
    """Volumes and points cut to a window and turned so that a plane's slices are along the first axis."""

    def __init__(self, window: tuple[slice, ...], axes: Sequence[int]) -> None:
        self.window, self.axes = window, list(axes)
        # z runs from inferior to superior: along the rows, that would be upside down.
        self.flips = axes[1] == 0

    def volume(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        turned = volume[self.window].transpose(self.axes)
        return turned[:, ::-1] if self.flips else turned

    def points(self, points: MarkedPoints | None) -> MarkedPoints | None:
        if points is None:
            return None
        positions = (points.positions_zyx - [side.start for side in self.window])[:, self.axes]
        if self.flips:
            positions[:, 1] = self.window[0].stop - self.window[0].start - 1 - positions[:, 1]
        return MarkedPoints(positions, points.labels)


def _upright(image: sitk.Image) -> sitk.Image:
    return sitk.DICOMOrient(image, "LPS")


def _array(image: sitk.Image) -> npt.NDArray[Any]:
    return sitk.GetArrayFromImage(_upright(image))


def _mark(instances: Sequence[Instance], grid: Grid, labels: Mapping[str, int]) -> MarkedPoints | None:
    if not instances:
        return None
    positions, marks = [], []
    for instance in instances:
        for points, label in ((instance.foreground, labels.get(instance.class_name, 1)), (instance.background, 0)):
            positions.append(grid.to_indices(points))
            marks += [label] * len(points)
    return MarkedPoints(np.concatenate(positions), np.array(marks))


def _window(grid: Grid, maps: Sequence[Labels], points: MarkedPoints | None) -> tuple[slice, ...]:
    """Return the part that contains all labels and points with a margin, or the whole image if there are none."""
    corners = [] if points is None else [points.positions_zyx]
    for labels in maps:
        boxes = ndimage.find_objects((labels > 0).view(np.uint8))
        corners += [np.array([[side.start, side.stop - 1] for side in box]).T for box in boxes]
    if not corners:
        return tuple(slice(0, size) for size in grid.shape)
    occupied, spacing_mm = np.concatenate(corners), np.array(grid.spacing_mm)
    first, last = np.floor(occupied.min(axis=0)), np.ceil(occupied.max(axis=0))
    longest_mm = ((last - first + 1) * spacing_mm).max()
    # Rounded, so that the unit of the spacing does not move an edge by a voxel.
    margin = np.ceil(np.round(max(MARGIN * longest_mm, MIN_VOXELS * spacing_mm.min()) / spacing_mm, 6))
    low = np.clip(first - margin, 0, np.array(grid.shape) - 1).astype(int)
    high = np.clip(last + margin + 1, low + 1, grid.shape).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _focus(maps: Mapping[str, Labels], ignore: int | None) -> Labels | None:
    """Return the label map that chooses the slices: the first that has foreground."""
    for name in ("reference", "prediction"):
        if name in maps and maps[name].any():
            return maps[name]
    seeds = maps.get("seeds")
    return None if seeds is None else np.where(seeds == ignore, 0, seeds)
