"""Pictures of cases side by side: one row a case, one column a stage, contours on the slice through the lesion."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.plotting.panels import (
    IGNORE_RGBA,
    REFERENCE_COLOUR,
    FigureRow,
    Panel,
    View,
    class_colour,
    classes_of,
    marker_style,
)

PANEL_INCHES = 2.3


def comparison_figure(
    rows: Sequence[FigureRow],
    columns: Sequence[str],
    path: str | Path,
    *,
    class_names: Sequence[str] = (),
    margin_mm: float | None = None,
    dpi: int = 150,
) -> None:
    """Draw and save a table of panels; the file appears only when it is complete.

    The slice shown is the axial one through the largest area of the truth (or of the first label map, if there is no
    truth). The truth is drawn as a thin dashed line on every panel that has a Dice. Voxels keep their aspect ratio.

    Args:
        rows: the cases, top to bottom, each with one panel a column.
        columns: titles, left to right.
        path: file to write; its suffix chooses the format (.png, .pdf, .svg).
        class_names: names of classes 1, 2, ... for the legend; without them it says "class 1" and so on.
        margin_mm: show only this much around the truth in the plane; None shows the whole slice.
        dpi: dots per inch.

    Raises:
        PasegError: nothing to draw, or a row does not fit its columns or image.
    """
    for row in rows:
        _check(row, columns)
    if not rows or not columns:
        raise PasegError("a figure needs one row and one column at least")
    views = [View(row, margin_mm) for row in rows]
    # A row is as high as its widest image needs at the common panel width.
    heights = [PANEL_INCHES * view.height_mm / view.width_mm for view in views]
    head, foot, left, gap = 0.35, 0.4, 0.3, 0.06
    width = left + len(columns) * (PANEL_INCHES + gap)
    height = head + sum(heights) + gap * len(rows) + foot
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    top = height - head
    for index, (view, panel_height) in enumerate(zip(views, heights, strict=True)):
        for column, (title, panel) in enumerate(zip(columns, view.row.panels, strict=True)):
            x = left + column * (PANEL_INCHES + gap)
            axes = figure.add_axes(
                (x / width, (top - panel_height) / height, PANEL_INCHES / width, panel_height / height)
            )
            view.draw(axes, panel)
            if index == 0:
                axes.set_title(title, fontsize=11, pad=5)
            if column == 0:
                axes.set_ylabel(view.row.name, fontsize=10, labelpad=4)
        top -= panel_height + gap
    handles = _legend([panel for row in rows for panel in row.panels], class_names)
    if handles:
        figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=9, borderpad=0.2)
    path = Path(path)
    try:
        with atomic_output(path) as temporary:
            figure.savefig(temporary)
    except (OSError, ValueError) as error:
        raise PasegError(f"{path}: cannot be written ({error})") from error


def _legend(panels: Sequence[Panel], class_names: Sequence[str]) -> list[Artist]:
    labels = sorted({label for panel in panels if panel.labels is not None for label in classes_of(panel)})
    handles: list[Artist] = []
    for label in labels:
        name = class_names[label - 1] if label <= len(class_names) else f"class {label}"
        handles.append(Line2D([], [], color=class_colour(label), linewidth=1.8, label=name))
    if any(panel.with_dice for panel in panels):
        handles.append(Line2D([], [], color=REFERENCE_COLOUR, linewidth=1.1, linestyle="--", label="truth"))
    if any(panel.ignore_label is not None for panel in panels):
        handles.append(Patch(facecolor=IGNORE_RGBA, label="unlabelled"))
    if any(panel.points is not None for panel in panels):
        outside = "point outside (hollow: on another slice)"
        handles.append(Line2D([], [], linestyle="none", label="point inside", **marker_style(1, on_slice=True)))
        handles.append(Line2D([], [], linestyle="none", label=outside, **marker_style(0, on_slice=True)))
    return handles


def _check(row: FigureRow, columns: Sequence[str]) -> None:
    if len(row.panels) != len(columns):
        raise PasegError(f"{row.name}: {len(row.panels)} panels for {len(columns)} columns")
    if row.image.ndim != 3 or len(row.spacing_mm) != 3:
        raise PasegError(
            f"{row.name}: image and spacing_mm must be (z, y, x), got {row.image.shape} and {tuple(row.spacing_mm)}"
        )
    for labels in (row.truth, *(panel.labels for panel in row.panels)):
        if labels is not None and labels.shape != row.image.shape:
            raise PasegError(f"{row.name}: labels of shape {labels.shape} on an image of shape {row.image.shape}")
