"""Contact sheets: three slices through the foreground points of every target, with its box and all its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nnunet_paseg.plotting.figures import add_axes, new_figure, save_figure
from nnunet_paseg.plotting.names import shortened
from nnunet_paseg.plotting.style import class_colour, grey_window, marker_style

FloatArray = npt.NDArray[np.float64]

PANEL_INCHES = 1.6
BLOCKS, ROWS = 2, 12
MAX_TITLE = 70
"""Characters of the title above three views."""
MARKER_SCALE = 0.85
SHOWN, MIN_VOXELS = 2.0, 32
"""Width of a view in longest sides of the target's box, and its minimum in voxels of the finest axis."""
PLANES = (("axial", 0, 1, 2), ("coronal", 1, 0, 2), ("sagittal", 2, 0, 1))
"""Name of a plane, the axis (z, y, x) across it, and the axes of its rows and columns."""


@dataclass(frozen=True)
class View:
    """One slice, cut around the target; everything in millimetres (row, column) from the image's first voxel.

    Attributes:
        title: Plane and index of the slice.
        pixels: Intensities (rows, columns).
        extent: Left, right, bottom and top edge of the pixels.
        box: Top left corner and size of the target's box.
        points: Positions (n, 2).
        kinds: Flags (n, 2) per point: whether it is a foreground point, and whether it is on the slice.
        labels: Label map (rows, columns) whose outlines are drawn, or None.
    """

    title: str
    pixels: npt.NDArray[Any]
    extent: tuple[float, float, float, float]
    box: tuple[float, float, float, float]
    points: FloatArray
    kinds: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Block:
    """The three views through one foreground point; the label determines the colour."""

    title: str
    label: int
    views: tuple[View, ...]


def cut_views(
    array: npt.NDArray[Any],
    spacing_mm: Sequence[float],
    centre: npt.NDArray[np.integer],
    box: FloatArray,
    points: FloatArray,
    is_foreground: npt.NDArray[np.bool_],
) -> tuple[View, ...]:
    """Return the three views through one point of a target.

    Args:
        array: Voxels (z, y, x) in the patient's axes (LPS).
        spacing_mm: Spacing (z, y, x).
        centre: Voxel index (z, y, x) of the point.
        box: First voxel, and the one after the last, of the target's box (3, 2).
        points: Indices (n, 3), (z, y, x), of all points of the target.
        is_foreground: Flag (n,) per point.
    """
    return tuple(_cut(array, np.array(spacing_mm), centre, box, points, is_foreground, *plane) for plane in PLANES)


def _cut(
    array: npt.NDArray[Any],
    spacing: FloatArray,
    centre: npt.NDArray[np.integer],
    box: FloatArray,
    points: FloatArray,
    is_foreground: npt.NDArray[np.bool_],
    name: str,
    across: int,
    row: int,
    column: int,
) -> View:
    axes = [row, column]
    size_mm = (box[:, 1] - box[:, 0]) * spacing
    # Rounded, so that the unit of the spacing does not move an edge by a voxel.
    shown = np.round(max(SHOWN * size_mm.max(), MIN_VOXELS * spacing.min()) / spacing, 6)
    middle = box.mean(axis=1)
    low = np.clip(np.floor(middle - shown / 2), 0, None).astype(int)
    high = np.clip(np.ceil(middle + shown / 2), None, array.shape).astype(int)
    slices: list[Any] = [slice(a, b) for a, b in zip(low, high, strict=True)]
    slices[across] = int(centre[across])
    # Voxel i reaches from i - 1/2 to i + 1/2.
    (top, left), (bottom, right) = (low[axes] - 0.5) * spacing[axes], (high[axes] - 0.5) * spacing[axes]
    corner, sides = (box[axes, 0] - 0.5) * spacing[axes], size_mm[axes]
    on_slice = np.rint(points[:, across]) == centre[across]
    return View(
        f"{name} {centre[across]}",
        array[tuple(slices)].copy(),
        (left, right, bottom, top),
        (corner[0], corner[1], sides[0], sides[1]),
        points[:, axes] * spacing[axes],
        np.stack([is_foreground, on_slice], axis=1),
    )


def contact_sheet(blocks: Sequence[Block], path: Path) -> list[Path]:
    """Draw and save all blocks, on as many pages as they need (``check.png``, ``check_2.png``, ...).

    Returns:
        Files; none if there is no block.

    Raises:
        PasegError: A file cannot be written.
    """
    files = []
    for number, start in enumerate(range(0, len(blocks), BLOCKS * ROWS), start=1):
        file = path if number == 1 else path.with_stem(f"{path.stem}_{number}")
        save_figure(_draw(blocks[start : start + BLOCKS * ROWS]), file)
        files.append(file)
    return files


def _draw(blocks: Sequence[Block]) -> Figure:
    columns = min(BLOCKS, len(blocks))
    gap, head, foot = 0.05, 0.24, 0.3
    block_width, block_height = len(PLANES) * (PANEL_INCHES + gap) + 0.15, PANEL_INCHES + head + gap
    width, height = columns * block_width, -(-len(blocks) // columns) * block_height + foot
    figure = new_figure(width, height, dpi=110)
    for index, block in enumerate(blocks):
        left, top = index % columns * block_width + 0.1, index // columns * block_height
        figure.text(left / width, 1 - (top + 0.17) / height, shortened(block.title, MAX_TITLE), fontsize=8)
        for number, view in enumerate(block.views):
            axes = add_axes(figure, left + number * (PANEL_INCHES + gap), top + head, PANEL_INCHES, PANEL_INCHES)
            _draw_view(axes, view, block.label)
    note = "star: point inside; dot: point outside; hollow: on another slice; frame: box of the target"
    if any(view.labels is not None for block in blocks for view in block.views):
        note += "; outline: mask"
    figure.text(0.1 / width, 0.09 / height, note, fontsize=7)
    return figure


def _draw_view(axes: Axes, view: View, label: int) -> None:
    left, right, bottom, top = view.extent
    axes.imshow(view.pixels, extent=view.extent, **grey_window(view.pixels))
    if view.labels is not None:
        _draw_outlines(axes, view.labels, view.extent)
    colour = class_colour(label)
    axes.add_patch(Rectangle(view.box[1::-1], view.box[3], view.box[2], fill=False, edgecolor=colour, linewidth=1.0))
    # Foreground last: a point on another slice may be over it.
    for index in np.argsort(view.kinds[:, 0], kind="stable"):
        (y, x), (is_foreground, on_slice) = view.points[index], view.kinds[index]
        axes.plot(x, y, **marker_style(label if is_foreground else 0, on_slice=bool(on_slice), scale=MARKER_SCALE))
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    half = max(right - left, bottom - top) / 2
    # Rows run from anterior to posterior in axial slices, but from inferior to superior in the others.
    rows = (middle_y + half, middle_y - half) if view.title.startswith("axial") else (middle_y - half, middle_y + half)
    axes.set(xlim=(middle_x - half, middle_x + half), ylim=rows, facecolor="black")
    text = axes.text(0.03, 0.03, view.title, transform=axes.transAxes, color="white", fontsize=6.5)
    text.set_path_effects([patheffects.withStroke(linewidth=1.5, foreground="black")])


def _draw_outlines(axes: Axes, labels: npt.NDArray[np.uint8], extent: tuple[float, float, float, float]) -> None:
    left, right, bottom, top = extent
    rows, columns = labels.shape
    # Centres of the pixels, with a frame of zeros that closes outlines at the border.
    y = top + (np.arange(-1, rows + 1) + 0.5) * (bottom - top) / rows
    x = left + (np.arange(-1, columns + 1) + 0.5) * (right - left) / columns
    for label in np.unique(labels[labels > 0]).tolist():
        mask = np.pad(labels == label, 1).astype(float)
        axes.contour(x, y, mask, levels=[0.5], colors=[class_colour(label)], linewidths=1.2)
