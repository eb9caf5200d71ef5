"""Figures without a window: canvas, axes in inches, legend, and file."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.plotting.names import shortened, visible

SUFFIXES = tuple(f".{name}" for name in FigureCanvasAgg.get_supported_filetypes())
"""Suffixes of the files that `save_figure` can write."""
MAX_LEGEND = 40
"""Characters of a name in a legend; longer names are shortened."""


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
    if not handles:
        return
    names, artists = zip(*handles, strict=True)
    # Matplotlib leaves out names that begin with an underscore: the real ones come after its choice.
    legend = figure.legend(handles=artists, labels=["-"] * len(artists), frameon=False, **style)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(shortened(name, MAX_LEGEND))


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically; the suffix chooses the format.

    Raises:
        PasegError: The file cannot be written, or matplotlib does not know its suffix.
    """
    try:
        with atomic_output(path) as temporary, _literal_text(figure):
            figure.savefig(temporary)
    except (OSError, ValueError) as error:
        raise PasegError(f"{path}: cannot be written ({error})") from error


def to_png(figure: Figure) -> bytes:
    """Return the content of a PNG file of the figure."""
    buffer = BytesIO()
    with _literal_text(figure):
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


@contextmanager
def _literal_text(figure: Figure) -> Iterator[None]:
    """Draw names of cases and classes as they are, not as TeX, and without a warning if the font lacks a character."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_usetex(False)
        text.set_text(visible(text.get_text()))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
