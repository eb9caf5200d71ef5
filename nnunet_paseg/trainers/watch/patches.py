"""A picture of some training patches: the image, what is labelled in it, and what the network says now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.plotting.panels import CLASS_COLOURS

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
        image: (b, c, *spatial); the first channel is shown.
        labels: (b, *spatial) with the classes, 0 for known background and the ignore label elsewhere.
        probabilities: (b, classes, *spatial), background first.
        path: PNG file.
        names: class names and labels, with ``ignore``.
        spacing_mm: voxel size of the spatial axes.
        title: of the picture.
    """
    ignore, rows = names["ignore"], min(MAX_PATCHES, len(image))
    colours = ["#000000", *(CLASS_COLOURS[number % len(CLASS_COLOURS)] for number in range(probabilities.shape[1] - 1))]
    clear = to_rgba("#000000", 0)
    seeds = ListedColormap([to_rgba(BACKGROUND_COLOUR, 0.35), *map(to_rgba, colours[1:]), clear])
    decided = ListedColormap([clear, *(to_rgba(colour, 0.6) for colour in colours[1:])])
    aspect = spacing_mm[-2] / spacing_mm[-1]
    figure = Figure(figsize=(9.6, 2.4 * rows * min(2.0, max(0.5, _height(image, aspect))) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize="medium")
    for row in range(rows):
        where = _slice(labels[row], probabilities[row], ignore)
        everywhere = (slice(None), *where)
        grey, known, chances = image[row, 0][where], labels[row][where], probabilities[row][everywhere]
        low, high = np.percentile(grey, (1, 99))
        for column, name in enumerate(COLUMNS):
            axes = figure.add_subplot(rows, len(COLUMNS), row * len(COLUMNS) + column + 1)
            axes.set_axis_off()
            if row == 0:
                axes.set_title(name, fontsize="medium")
            shared: dict[str, Any] = {"aspect": aspect, "interpolation": "nearest"}
            if name == "foreground probability":
                axes.imshow(1 - chances[0], cmap="magma", vmin=0, vmax=1, **shared)
                continue
            axes.imshow(grey, cmap="gray", vmin=low, vmax=high, **shared)
            if name == "labels":
                axes.imshow(np.minimum(known, ignore), cmap=seeds, vmin=0, vmax=ignore, **shared)
            elif name == "prediction":
                axes.imshow(chances.argmax(0), cmap=decided, vmin=0, vmax=len(chances) - 1, **shared)
    classes = {label: name for name, label in names.items() if name != "ignore"}
    figure.legend(
        handles=[
            Patch(color=BACKGROUND_COLOUR if label == 0 else colours[label], label=classes[label])
            for label in sorted(classes)
        ],
        loc="outside lower center",
        ncols=min(6, len(classes)),
        frameon=False,
        fontsize="small",
    )
    with atomic_output(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _height(image: npt.NDArray[Any], aspect: float) -> float:
    """Of a panel, in widths."""
    return float(image.shape[-2] * aspect / image.shape[-1])


def _slice(
    labels: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating], ignore: int
) -> tuple[int | slice, ...]:
    """Index of the slice to show: the most labelled foreground, else the most predicted; everything of a 2D patch."""
    if labels.ndim == 2:
        return (slice(None), slice(None))
    foreground = ((labels > 0) & (labels != ignore)).sum((1, 2))
    if not foreground.any():
        foreground = 1 - probabilities[0].mean((1, 2))
    return (int(foreground.argmax()),)
