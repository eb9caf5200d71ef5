"""A table of panels: one row per case or plane, one column per label map, contours on the slice through the lesion."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nnunet_paseg.errors import PasegError
from nnunet_paseg.plotting.figures import add_axes, add_legend, new_figure, save_figure
from nnunet_paseg.plotting.names import shortened
from nnunet_paseg.plotting.panels import FigureRow, Panel, View
from nnunet_paseg.plotting.style import IGNORE_RGBA, REFERENCE_COLOUR, class_colour, marker_style

PANEL_INCHES = 2.3
MAX_ASPECT = 2.0
"""Height of a row in panel widths beyond which its panels become narrower instead: a long scan stays on the screen."""
MAX_NAME = 30
"""Characters of a row's name."""
HEAD, FOOT, LEFT, GAP = 0.35, 0.4, 0.3, 0.06


def comparison_figure(
    rows: Sequence[FigureRow],
    columns: Sequence[str],
    path: str | Path,
    *,
    class_names: Sequence[str] = (),
) -> None:
    """Draw and save a table of panels with a legend.

    The slice shown is the axial one through the largest area of the reference (or of the first label map, if there is
    no reference). Voxels keep their aspect ratio.

    Args:
        rows: Cases, top to bottom, each with one panel per column.
        columns: Titles, left to right.
        path: File to write; its suffix chooses the format (.png, .pdf, .svg).
        class_names: Names of classes 1, 2, ... in the legend; the legend calls other classes "class 1" and so on.

    Raises:
        PasegError: There is nothing to draw, or a row does not fit its columns or image.
    """
    for row in rows:
        _check(row, columns)
    if not rows or not columns:
        raise PasegError("a figure needs one row and one column at least")
    figure = panel_table(rows, columns, foot=FOOT, dpi=150)
    handles = _legend([panel for row in rows for panel in row.panels], class_names)
    add_legend(figure, handles, loc="lower center", ncols=len(handles), fontsize=9, borderpad=0.2)
    save_figure(figure, Path(path))


def panel_table(
    rows: Sequence[FigureRow],
    columns: Sequence[str],
    *,
    foot: float = 0.0,
    dpi: int = 100,
) -> Figure:
    """Draw rows and columns of panels, without a legend.

    Args:
        rows: Cases or planes, top to bottom, each with one panel per column.
        columns: Titles, left to right.
        foot: Empty space below the panels, inches.
        dpi: Dots per inch.
    """
    views = [View(row) for row in rows]
    # A row is as high as its image needs at the common panel width.
    heights = [PANEL_INCHES * min(MAX_ASPECT, view.aspect) for view in views]
    width = LEFT + len(columns) * (PANEL_INCHES + GAP)
    figure = new_figure(width, HEAD + sum(heights) + GAP * len(rows) + foot, dpi=dpi)
    top = HEAD
    for index, (view, height) in enumerate(zip(views, heights, strict=True)):
        panel_width = height / view.aspect
        for column, (title, panel) in enumerate(zip(columns, view.row.panels, strict=True)):
            left = LEFT + column * (PANEL_INCHES + GAP) + (PANEL_INCHES - panel_width) / 2
            axes = add_axes(figure, left, top, panel_width, height)
            view.draw(axes, panel)
            if index == 0:
                axes.set_title(title, fontsize=11, pad=5)
            if column == 0:
                axes.set_ylabel(shortened(view.row.name, MAX_NAME), fontsize=10, labelpad=4)
        top += height + GAP
    return figure


def _legend(panels: Sequence[Panel], class_names: Sequence[str]) -> list[tuple[str, Artist]]:
    handles: list[tuple[str, Artist]] = []
    for label in sorted({label for panel in panels for label in panel.classes()}):
        name = class_names[label - 1] if label <= len(class_names) else f"class {label}"
        handles.append((name, Line2D([], [], color=class_colour(label), linewidth=1.8)))
    if any(panel.with_reference for panel in panels):
        handles.append(("reference", Line2D([], [], color=REFERENCE_COLOUR, linewidth=1.1, linestyle="--")))
    if any(panel.ignore_label is not None for panel in panels):
        handles.append(("unlabelled", Patch(facecolor=IGNORE_RGBA)))
    if any(panel.points is not None for panel in panels):
        outside = "point outside (hollow: on another slice)"
        handles.append(("point inside", Line2D([], [], linestyle="none", **marker_style(1, on_slice=True))))
        handles.append((outside, Line2D([], [], linestyle="none", **marker_style(0, on_slice=True))))
    return handles


def _check(row: FigureRow, columns: Sequence[str]) -> None:
    if len(row.panels) != len(columns):
        raise PasegError(f"{row.name}: {len(row.panels)} panels for {len(columns)} columns")
    if row.image.ndim != 3 or len(row.spacing_mm) != 3:
        raise PasegError(
            f"{row.name}: image and spacing_mm must be (z, y, x), got {row.image.shape} and {tuple(row.spacing_mm)}"
        )
    for labels in (row.reference, row.focus, *(panel.labels for panel in row.panels)):
        if labels is not None and labels.shape != row.image.shape:
            raise PasegError(f"{row.name}: labels of shape {labels.shape} on an image of shape {row.image.shape}")
