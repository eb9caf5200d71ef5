"""Contact sheets: three slices through the foreground points of every target, with its box and all its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nnunet_paseg.plotting.figures import add_axes, new_figure, save_figure
from nnunet_paseg.plotting.names import shortened
from nnunet_paseg.plotting.style import class_colour, grey_window, marker_style
from nnunet_paseg.points.grid import FloatArray, Grid
from nnunet_paseg.points.instance import Instance, place_on_grid

PANEL_INCHES = 1.6
BLOCKS, ROWS = 2, 12
MAX_POINTS = 3
"""Largest number of foreground points of one target that have slices of their own."""
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
    """

    title: str
    pixels: npt.NDArray[Any]
    extent: tuple[float, float, float, float]
    box: tuple[float, float, float, float]
    points: FloatArray
    kinds: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """The three views through one foreground point; the label determines the colour."""

    title: str
    label: int
    views: tuple[View, ...]


def cut_blocks(case: str, image: sitk.Image, instances: Sequence[Instance], class_names: Sequence[str]) -> list[Block]:
    """Return the views of every target of a case, in the patient's axes whatever the orientation of the scan.

    Args:
        case: Case identifier, for the titles.
        image: 3D image.
        instances: Targets on the image's grid.
        class_names: Classes of the dataset.
    """
    upright = sitk.DICOMOrient(image, "LPS")
    grid, array = Grid.from_image(upright), sitk.GetArrayViewFromImage(upright)
    labels = {name: label for label, name in enumerate(class_names, start=1)}
    blocks = []
    for number, instance in enumerate(instances, start=1):
        placed = place_on_grid(instance, grid, labels)
        box = np.array([[side.start, side.stop] for side in placed.box], dtype=float)
        points = grid.to_indices(np.concatenate([instance.foreground, instance.background]))
        is_foreground = np.arange(len(points)) < len(instance.foreground)
        for centre in placed.foreground[:MAX_POINTS]:
            views = tuple(_cut(array, grid, centre, box, points, is_foreground, *plane) for plane in PLANES)
            blocks.append(Block(f"{case}: {instance.class_name} {number}", placed.label, views))
    return blocks


def _cut(
    array: npt.NDArray[Any],
    grid: Grid,
    centre: npt.NDArray[np.int64],
    box: FloatArray,
    points: FloatArray,
    is_foreground: npt.NDArray[np.bool_],
    name: str,
    across: int,
    row: int,
    column: int,
) -> View:
    axes, spacing = [row, column], np.array(grid.spacing_mm)
    size_mm = (box[:, 1] - box[:, 0]) * spacing
    # Rounded, so that the unit of the spacing does not move an edge by a voxel.
    shown = np.round(max(SHOWN * size_mm.max(), MIN_VOXELS * spacing.min()) / spacing, 6)
    middle = box.mean(axis=1)
    low = np.clip(np.floor(middle - shown / 2), 0, None).astype(int)
    high = np.clip(np.ceil(middle + shown / 2), None, grid.shape).astype(int)
    slices: list[Any] = [slice(a, b) for a, b in zip(low, high, strict=True)]
    slices[across] = int(centre[across])
    pixels = np.array(array[tuple(slices)], dtype=np.float32)
    # Voxel i reaches from i - 1/2 to i + 1/2.
    (top, left), (bottom, right) = (low[axes] - 0.5) * spacing[axes], (high[axes] - 0.5) * spacing[axes]
    corner, sides = (box[axes, 0] - 0.5) * spacing[axes], size_mm[axes]
    on_slice = np.rint(points[:, across]) == centre[across]
    return View(
        f"{name} {centre[across]}",
        pixels,
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
    figure.text(0.1 / width, 0.09 / height, note, fontsize=7)
    return figure


def _draw_view(axes: Axes, view: View, label: int) -> None:
    left, right, bottom, top = view.extent
    axes.imshow(view.pixels, extent=view.extent, **grey_window(view.pixels))
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
