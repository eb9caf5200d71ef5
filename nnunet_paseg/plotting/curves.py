"""Curves over the epochs of a training, one panel per quantity."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnunet_paseg.plotting.figures import new_figure

COLUMNS = 3
PANEL_WIDTH, PANEL_HEIGHT = 4.0, 2.8


def curves_figure(panels: Mapping[str, Mapping[str, Sequence[Any]]]) -> Figure:
    """Draw curves, three panels per row.

    Args:
        panels: Curves by title of their panel; a curve is one value per epoch, by its name in the legend.

    Returns:
        The figure; a panel of a single curve has no legend.
    """
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(PANEL_WIDTH * columns, PANEL_HEIGHT * rows, layout="constrained")
    for number, (title, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, number)
        for name, values in curves.items():
            # A curve of a few epochs is hardly more than its points.
            marker = "." if len(values) < 30 else ""
            axes.plot(range(len(values)), [float(value) for value in values], marker=marker, label=name)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if len(curves) > 1:
            axes.legend(frameon=False, fontsize="small")
    return figure
