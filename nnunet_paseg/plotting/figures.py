"""Figures without a window: canvas, axes in inches, legend, and file."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output

SUFFIXES = tuple(f".{name}" for name in FigureCanvasAgg.get_supported_filetypes())
"""Suffixes of the files that `save_figure` can write."""


def new_figure(width: float, height: float, *, dpi: int = 100, layout: str | None = None) -> Figure:
    """Return an empty white figure without pyplot; its size is in inches."""
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes without ticks and frame.

    Args:
        figure: Figure to add them to.
        left: Distance from the left edge of the figure, inches.
        top: Distance from its top edge, inches.
        width: Width of the axes, inches.
        height: Height of the axes, inches.
    """
    across, down = figure.get_size_inches()
    axes = figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def add_legend(figure: Figure, handles: Sequence[tuple[str, Artist]], **style: Any) -> None:
    """Add a frameless legend.

    Args:
        figure: Figure to add it to.
        handles: Names with their artists; no legend if there is none.
        style: Further arguments of `Figure.legend`.
    """
    if handles:
        names, artists = zip(*handles, strict=True)
        figure.legend(handles=artists, labels=names, frameon=False, **style)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically; the suffix chooses the format.

    Raises:
        PasegError: The file cannot be written, or matplotlib does not know its suffix.
    """
    try:
        with atomic_output(path) as temporary:
            figure.savefig(temporary)
    except (OSError, ValueError) as error:
        raise PasegError(f"{path}: cannot be written ({error})") from error


def to_png(figure: Figure) -> bytes:
    """Return the content of a PNG file of the figure."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
