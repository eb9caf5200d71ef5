"""The picture of a case: an axial, a coronal and a sagittal slice, one row each, and one column a label map."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import ndimage

from nnunet_paseg.plotting.panels import FigureRow, MarkedPoints, Panel, View
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

PLANES = (("axial", (0, 1, 2)), ("coronal", (1, 0, 2)), ("sagittal", (2, 0, 1)))
"""Name of a plane, and the image's axes (z, y, x) in the order across it, its rows, its columns."""
MARGIN_MM = 20.0
"""Shown around everything that is labelled."""
PANEL_INCHES, DPI = 2.4, 100

Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class CaseVolumes:
    """All that is drawn of a case; everything on the grid of the image.

    Attributes:
        image: first channel.
        prediction, truth, seeds: label maps, as far as they are known.
        ignore_label: of the seeds.
        instances: points of the targets, as far as they are known.
    """

    image: sitk.Image
    prediction: sitk.Image | None = None
    truth: sitk.Image | None = None
    seeds: sitk.Image | None = None
    ignore_label: int | None = None
    instances: Sequence[Instance] | None = None


def case_picture(case: CaseVolumes, labels: Mapping[str, int]) -> bytes:
    """Draw a case.

    The slices are those with the largest area of the truth, or of the prediction where there is no truth. They show the
    patient upright, whatever the orientation of the scan, and everything labelled with 20 mm around it.

    Args:
        case: image and label maps.
        labels: label by class name, for the colours of the points.

    Returns:
        A PNG file, without legend.
    """
    grid = Grid.from_image(_upright(case.image))
    image = np.nan_to_num(_array(case.image).astype(np.float32))
    given = {"seeds": case.seeds, "prediction": case.prediction, "truth": case.truth}
    maps = {name: _array(one) for name, one in given.items() if one is not None}
    points = _mark(case.instances or (), grid, labels)
    window = _window(grid, list(maps.values()), points)
    focus = _focus(maps, case.ignore_label)
    rows = []
    for plane, axes in PLANES:
        cut = _Cut(window, axes)
        panels = {"image": Panel()}
        if "seeds" in maps or points is not None:
            seeds = cut.volume(maps["seeds"]) if "seeds" in maps else None
            panels["points and seeds"] = Panel(seeds, cut.points(points), ignore_label=case.ignore_label)
        if "prediction" in maps:
            panels["prediction"] = Panel(cut.volume(maps["prediction"]), with_dice=focus is maps.get("truth"))
        if "truth" in maps:
            panels["truth"] = Panel(cut.volume(maps["truth"]))
        spacing_mm = [grid.spacing_mm[axis] for axis in axes]
        row = FigureRow(
            plane, cut.volume(image), spacing_mm, list(panels.values()), None if focus is None else cut.volume(focus)
        )
        rows.append(row)
    return _draw(rows, list(panels))


def _draw(rows: Sequence[FigureRow], columns: Sequence[str]) -> bytes:
    """Like `comparison_figure`, but without its legend: a page of many pictures has one for all of them."""
    views = [View(row, None) for row in rows]
    # A row is as high as its image needs at the common width; a long, thin scan must not make it endless.
    heights = [PANEL_INCHES * min(2.0, view.height_mm / view.width_mm) for view in views]
    head, left, gap = 0.3, 0.3, 0.05
    width, height = left + len(columns) * (PANEL_INCHES + gap), head + sum(heights) + gap * len(rows)
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    top = height - head
    for number, (view, panel_height) in enumerate(zip(views, heights, strict=True)):
        for column, panel in enumerate(view.row.panels):
            panel_width = PANEL_INCHES * min(1.0, panel_height / PANEL_INCHES * view.width_mm / view.height_mm)
            x = left + column * (PANEL_INCHES + gap) + (PANEL_INCHES - panel_width) / 2
            area = (x / width, (top - panel_height) / height, panel_width / width, panel_height / height)
            axes = figure.add_axes(area)
            view.draw(axes, panel)
            if number == 0:
                axes.set_title(columns[column], fontsize=10, pad=4)
            if column == 0:
                axes.set_ylabel(view.row.name, fontsize=9, labelpad=4)
        top -= panel_height + gap
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


class _Cut:
    """Volumes and points cut to a window and turned so that a plane's slices lie along the first axis."""

    def __init__(self, window: tuple[slice, ...], axes: Sequence[int]) -> None:
        self.window, self.axes = window, list(axes)
        # z runs from the feet up: along the rows that would be upside down.
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
    """What is shown: all labels and points with a margin, or the whole image where there are none."""
    corners = [] if points is None else [points.positions_zyx]
    for labels in maps:
        boxes = ndimage.find_objects((labels > 0).view(np.uint8))
        corners += [np.array([[side.start, side.stop - 1] for side in box]).T for box in boxes]
    if not corners:
        return tuple(slice(0, size) for size in grid.shape)
    occupied, margin = np.concatenate(corners), np.ceil(MARGIN_MM / np.array(grid.spacing_mm))
    low = np.clip(np.floor(occupied.min(axis=0)) - margin, 0, None).astype(int)
    high = np.clip(np.ceil(occupied.max(axis=0)) + margin + 1, None, grid.shape).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _focus(maps: Mapping[str, Labels], ignore: int | None) -> Labels | None:
    """The label map that chooses the slices: the first that holds anything."""
    for name in ("truth", "prediction"):
        if name in maps and maps[name].any():
            return maps[name]
    seeds = maps.get("seeds")
    return None if seeds is None else np.where(seeds == ignore, 0, seeds)
