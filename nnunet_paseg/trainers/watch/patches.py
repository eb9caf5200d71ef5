"""Training patches as a figure: the image, its labels, and the current prediction of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.patches import Patch

from nnunet_paseg.plotting.figures import add_legend, new_figure, save_figure
from nnunet_paseg.plotting.style import class_colour, grey_window

COLUMNS = ("image", "labels", "prediction", "foreground probability")
BACKGROUND_COLOUR = "#3B6FB6"
MAX_PATCHES = 4


def draw_patches(
    image: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    probabilities: npt.NDArray[np.floating],
    path: Path,
    *,
    names: Mapping[str, int],
    spacing_mm: Sequence[float],
    title: str = "",
) -> None:
    """Draw the slice with the most labelled foreground of up to four patches of a batch.

    Args:
        image: Batch (b, c, *spatial), of which the first channel is shown.
        labels: Label maps (b, *spatial): the classes, 0 for background and the ignore label elsewhere.
        probabilities: Softmax output (b, classes, *spatial), background first.
        path: PNG file.
        names: Labels by class name, with ``ignore``.
        spacing_mm: Voxel size along the spatial axes, mm.
        title: Title of the figure.
    """
    ignore, rows = names["ignore"], min(MAX_PATCHES, len(image))
    colours = [class_colour(label) for label in range(1, probabilities.shape[1])]
    clear = to_rgba("#000000", 0)
    seeds = ListedColormap([to_rgba(BACKGROUND_COLOUR, 0.35), *map(to_rgba, colours), clear])
    predicted = ListedColormap([clear, *(to_rgba(colour, 0.6) for colour in colours)])
    aspect = spacing_mm[-2] / spacing_mm[-1]
    panel_height = image.shape[-2] * aspect / image.shape[-1]
    figure = new_figure(9.6, 2.4 * rows * min(2.0, max(0.5, panel_height)) + 0.8, layout="constrained")
    if title:
        figure.suptitle(title, fontsize="medium")
    for row in range(rows):
        where = _slice(labels[row], probabilities[row], ignore)
        all_classes = (slice(None), *where)
        grey, known, shown = image[row, 0][where], labels[row][where], probabilities[row][all_classes]
        for column, name in enumerate(COLUMNS):
            axes = figure.add_subplot(rows, len(COLUMNS), row * len(COLUMNS) + column + 1)
            axes.set_axis_off()
            if row == 0:
                axes.set_title(name, fontsize="medium")
            shared: dict[str, Any] = {"aspect": aspect, "interpolation": "nearest"}
            if name == "foreground probability":
                axes.imshow(1 - shown[0], cmap="magma", vmin=0, vmax=1, **shared)
                continue
            axes.imshow(grey, **grey_window(grey), **shared)
            if name == "labels":
                axes.imshow(np.minimum(known, ignore), cmap=seeds, vmin=0, vmax=ignore, **shared)
            elif name == "prediction":
                axes.imshow(shown.argmax(0), cmap=predicted, vmin=0, vmax=len(shown) - 1, **shared)
    classes = sorted((label, name) for name, label in names.items() if name != "ignore")
    handles = [(name, Patch(color=class_colour(label) if label else BACKGROUND_COLOUR)) for label, name in classes]
    add_legend(figure, handles, loc="outside lower center", ncols=min(6, len(classes)), fontsize="small")
    save_figure(figure, path)


def _slice(
    labels: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating], ignore: int
) -> tuple[int | slice, ...]:
    """Return the index of the slice with the most labelled foreground, else the most predicted; all of a 2D patch."""
    if labels.ndim == 2:
        return (slice(None), slice(None))
    foreground = ((labels > 0) & (labels != ignore)).sum((1, 2))
    if not foreground.any():
        foreground = 1 - probabilities[0].mean((1, 2))
    return (int(foreground.argmax()),)
