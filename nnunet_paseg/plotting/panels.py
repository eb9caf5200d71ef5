"""One panel of a picture: the slice through the target, with contours, points and Dice on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import patheffects
from matplotlib.axes import Axes

from nnunet_paseg.evaluation.metrics import dice

# Okabe and Ito's palette: told apart by colour-blind readers too, and all of it bright on grey.
CLASS_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7")
BACKGROUND_COLOUR = "#FFFFFF"
REFERENCE_COLOUR = "#FF3B3B"
IGNORE_RGBA = (0.25, 0.45, 1.0, 0.3)


@dataclass(frozen=True)
class MarkedPoints:
    """Points of one case: `positions_zyx` (N, 3) in voxels, `labels` (N,) 0 for background or a class."""

    positions_zyx: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int_]


@dataclass(frozen=True)
class Panel:
    """One cell of the figure.

    Attributes:
        labels: label map (z, y, x) drawn as contours, or None.
        points: points drawn on top, or None; hollow where they lie more than half a voxel off the slice.
        ignore_label: label drawn as a translucent veil instead of a contour.
        with_dice: whether the mean foreground Dice with the truth is written on the panel.
    """

    labels: npt.NDArray[np.integer] | None = None
    points: MarkedPoints | None = None
    ignore_label: int | None = None
    with_dice: bool = False


@dataclass(frozen=True)
class FigureRow:
    """One case: its image (z, y, x), voxel size along (z, y, x), panels, and the truth that chooses the slice."""

    name: str
    image: npt.NDArray[np.floating]
    spacing_mm: Sequence[float]
    panels: Sequence[Panel]
    truth: npt.NDArray[np.integer] | None = None


class View:
    """The slice of a row that is shown, cropped, and how to draw one panel on it."""

    def __init__(self, row: FigureRow, margin_mm: float | None) -> None:
        self.row = row
        target = (
            row.truth if row.truth is not None else next((p.labels for p in row.panels if p.labels is not None), None)
        )
        inside = np.zeros(row.image.shape, dtype=bool) if target is None else target > 0
        areas = inside.sum(axis=(1, 2))
        # In the middle of the slices with the largest area, and of the image where there is no target.
        largest = np.flatnonzero(areas == areas.max())
        self.slice = int(largest[len(largest) // 2])
        self.y, self.x = (0, row.image.shape[1]), (0, row.image.shape[2])
        if margin_mm is not None and inside.any():
            seen = np.asarray(inside.any(axis=0))
            self.y = _around(np.asarray(seen.any(axis=1)), margin_mm / row.spacing_mm[1])
            self.x = _around(np.asarray(seen.any(axis=0)), margin_mm / row.spacing_mm[2])
        self.height_mm = (self.y[1] - self.y[0]) * row.spacing_mm[1]
        self.width_mm = (self.x[1] - self.x[0]) * row.spacing_mm[2]
        shown = self.cut(row.image)
        self.window = np.percentile(shown, (0.5, 99.5))

    def cut(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The shown part of a volume, (y, x)."""
        return volume[self.slice, self.y[0] : self.y[1], self.x[0] : self.x[1]]

    def draw(self, axes: Axes, panel: Panel) -> None:
        """Draw image, contours, points and Dice into axes of the right shape."""
        low, high = self.window
        y, x = self.y, self.x
        extent = (x[0] - 0.5, x[1] - 0.5, y[1] - 0.5, y[0] - 0.5)
        axes.imshow(self.cut(self.row.image), cmap="gray", vmin=low, vmax=high, extent=extent, aspect="auto")
        if panel.labels is not None:
            labels = self.cut(panel.labels)
            if panel.ignore_label is not None:
                veil = np.zeros((*labels.shape, 4))
                veil[labels == panel.ignore_label] = IGNORE_RGBA
                axes.imshow(veil, extent=extent, aspect="auto", interpolation="nearest")
            for label in classes_of(panel):
                self._contour(axes, labels == label, colors=[class_colour(label)], linewidths=1.6)
        if panel.with_dice and self.row.truth is not None and panel.labels is not None:
            self._contour(
                axes, self.cut(self.row.truth) > 0, colors=[REFERENCE_COLOUR], linewidths=0.9, linestyles="--"
            )
            overlaps = [dice(panel.labels == label, self.row.truth == label) for label in _labels_of(self.row.truth)]
            if overlaps:
                box = {"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "boxstyle": "round,pad=0.25"}
                text = f"Dice {np.mean(overlaps):.2f}"
                axes.text(0.04, 0.04, text, transform=axes.transAxes, color="white", fontsize=9, bbox=box, va="bottom")
        if panel.points is not None:
            # Class points last: a background point above or below the lesion may lie over its centre.
            for index in np.argsort(panel.points.labels, kind="stable"):
                z, row, column = panel.points.positions_zyx[index]
                marker = marker_style(int(panel.points.labels[index]), on_slice=abs(z - self.slice) <= 0.5)
                axes.plot(column, row, **marker)
        axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)

    def _contour(self, axes: Axes, mask: npt.NDArray[np.bool_], **style: Any) -> None:
        if mask.any():
            # The frame of zeros closes contours at the border.
            padded = np.pad(mask, 1).astype(float)
            columns, rows = np.arange(self.x[0] - 1, self.x[1] + 1), np.arange(self.y[0] - 1, self.y[1] + 1)
            axes.contour(columns, rows, padded, levels=[0.5], **style)


def marker_style(label: int, *, on_slice: bool) -> dict[str, Any]:
    """Matplotlib's style of a point of a class, 0 for background; hollow where it lies on another slice."""
    colour = BACKGROUND_COLOUR if label == 0 else class_colour(label)
    style = {"marker": "o", "markersize": 5} if label == 0 else {"marker": "*", "markersize": 10}
    if on_slice:
        return {**style, "markerfacecolor": colour, "markeredgecolor": "black", "markeredgewidth": 0.6}
    # The dark halo keeps a thin ring visible on bright tissue.
    halo = [patheffects.withStroke(linewidth=2.2, foreground="black")]
    return {**style, "markerfacecolor": "none", "markeredgecolor": colour, "markeredgewidth": 1.0, "path_effects": halo}


def classes_of(panel: Panel) -> list[int]:
    """Classes with a contour on the panel."""
    return [] if panel.labels is None else [label for label in _labels_of(panel.labels) if label != panel.ignore_label]


def _labels_of(labels: npt.NDArray[np.integer]) -> list[int]:
    return [int(label) for label in np.unique(labels) if label > 0]


def class_colour(label: int) -> str:
    """Colour of a class, 1 or more."""
    return CLASS_COLOURS[(label - 1) % len(CLASS_COLOURS)]


def _around(occupied: npt.NDArray[np.bool_], margin: float) -> tuple[int, int]:
    found = np.flatnonzero(occupied)
    return max(0, int(found[0] - margin)), min(occupied.size, int(np.ceil(found[-1] + margin)) + 1)
