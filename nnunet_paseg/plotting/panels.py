"""One panel of a figure: the slice through the target, with contours, points and a note on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from nnunet_paseg.plotting.style import IGNORE_RGBA, REFERENCE_COLOUR, class_colour, grey_window, marker_style


@dataclass(frozen=True)
class MarkedPoints:
    """Points of one case: `positions_zyx` (N, 3) in voxels, `labels` (N,) 0 for background or a class."""

    positions_zyx: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int_]


@dataclass(frozen=True)
class Panel:
    """One cell of the figure.

    Attributes:
        labels: Label map (z, y, x) drawn as contours, or None.
        points: Points drawn on top, or None; hollow where they are more than half a voxel off the slice.
        ignore_label: Label drawn as a translucent overlay instead of a contour.
        with_reference: Whether the outline of the reference is drawn on the panel.
        note: Text in the corner, such as a score.
    """

    labels: npt.NDArray[np.integer] | None = None
    points: MarkedPoints | None = None
    ignore_label: int | None = None
    with_reference: bool = False
    note: str = ""

    def classes(self) -> list[int]:
        """Return the labels that are drawn as contours."""
        if self.labels is None:
            return []
        return [int(label) for label in np.unique(self.labels) if label > 0 and label != self.ignore_label]


@dataclass(frozen=True)
class FigureRow:
    """One case.

    Attributes:
        name: Its title, left of the row.
        image: Intensities (z, y, x).
        spacing_mm: Voxel size along (z, y, x), mm.
        panels: One per column.
        reference: Label map whose outline is drawn on panels with `with_reference`, or None.
        focus: Label map whose largest slice is shown. Default: the reference, or the first label map of the panels.
    """

    name: str
    image: npt.NDArray[np.floating]
    spacing_mm: Sequence[float]
    panels: Sequence[Panel]
    reference: npt.NDArray[np.integer] | None = None
    focus: npt.NDArray[np.integer] | None = None


class View:
    """The slice of a row that is shown, and how to draw one panel on it."""

    def __init__(self, row: FigureRow) -> None:
        self.row = row
        candidates = (row.focus, row.reference, *(panel.labels for panel in row.panels))
        target = next((labels for labels in candidates if labels is not None), None)
        areas = np.zeros(len(row.image), dtype=int) if target is None else (target > 0).sum(axis=(1, 2))
        # The central one of the slices with the largest area; without a target, the central slice of the image.
        largest = np.flatnonzero(areas == areas.max())
        self.slice = int(largest[len(largest) // 2])
        rows, columns = row.image.shape[1:]
        self.extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
        self.aspect = float(rows * row.spacing_mm[1] / (columns * row.spacing_mm[2]))
        """Height of the slice in relation to its width."""
        self.window = grey_window(row.image[self.slice])

    def draw(self, axes: Axes, panel: Panel) -> None:
        """Draw image, contours, points and note into axes of the right shape."""
        shared: dict[str, Any] = {"extent": self.extent, "aspect": "auto"}
        axes.imshow(self.row.image[self.slice], **shared, **self.window)
        if panel.labels is not None:
            labels = panel.labels[self.slice]
            if panel.ignore_label is not None:
                overlay = np.zeros((*labels.shape, 4))
                overlay[labels == panel.ignore_label] = IGNORE_RGBA
                axes.imshow(overlay, interpolation="nearest", **shared)
            for label in panel.classes():
                _contour(axes, labels == label, colors=[class_colour(label)], linewidths=1.6)
        if panel.with_reference and self.row.reference is not None:
            outline = self.row.reference[self.slice] > 0
            _contour(axes, outline, colors=[REFERENCE_COLOUR], linewidths=0.9, linestyles="--")
        if panel.note:
            box = {"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "boxstyle": "round,pad=0.25"}
            style: dict[str, Any] = {"transform": axes.transAxes, "color": "white", "fontsize": 9, "bbox": box}
            axes.text(0.04, 0.04, panel.note, va="bottom", **style)
        if panel.points is not None:
            # Class points last: a background point above or below the lesion may be over its centre.
            for index in np.argsort(panel.points.labels, kind="stable"):
                z, row, column = panel.points.positions_zyx[index]
                marker = marker_style(int(panel.points.labels[index]), on_slice=abs(z - self.slice) <= 0.5)
                axes.plot(column, row, **marker)
        axes.set(xlim=self.extent[:2], ylim=self.extent[2:])


def _contour(axes: Axes, mask: npt.NDArray[np.bool_], **style: Any) -> None:
    if mask.any():
        # The frame of zeros closes contours at the border.
        rows, columns = (np.arange(-1, size + 1) for size in mask.shape)
        axes.contour(columns, rows, np.pad(mask, 1).astype(float), levels=[0.5], **style)
