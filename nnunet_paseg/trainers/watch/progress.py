"""The loss terms of every epoch: in nnU-Net's logger, and drawn beside its progress.png."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnunet_paseg.io.files import atomic_output

PREFIX = "paseg/"
"""Of our keys in nnU-Net's logger."""


def log_terms(logger: Any, terms: Mapping[str, float], epoch: int) -> None:
    """Hand the terms of an epoch to nnU-Net's logger, and so to every logger that it feeds.

    nnU-Net wants one value an epoch under every key. A term that a resumed training did not log before, or does not
    log any more, is NaN in the other epochs.

    Args:
        logger: nnU-Net's MetaLogger.
        terms: mean of every loss term.
        epoch: counted from 0.
    """
    history = logger.local_logger.my_fantastic_logging
    keys = [PREFIX + name for name in terms] + [key for key in history if key.startswith(PREFIX)]
    for key in dict.fromkeys(keys):
        values = history.setdefault(key, [])
        values.extend([math.nan] * (epoch - len(values)))
        logger.log(key, float(terms.get(key.removeprefix(PREFIX), math.nan)), epoch)


def plot_terms(history: Mapping[str, Sequence[Any]], path: Path) -> None:
    """Draw every loss term over the epochs, one panel each; nothing if there is none.

    Args:
        history: nnU-Net's logging dictionary.
        path: PNG file.
    """
    terms = {key.removeprefix(PREFIX): values for key, values in history.items() if key.startswith(PREFIX)}
    if not terms:
        return
    columns = min(3, len(terms))
    rows = math.ceil(len(terms) / columns)
    figure = Figure(figsize=(4 * columns, 2.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (name, values) in enumerate(terms.items(), start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.plot(range(len(values)), [float(value) for value in values], marker="." if len(values) < 30 else "")
        axes.set_title(name, fontsize="medium")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    with atomic_output(path) as temporary:
        figure.savefig(temporary, dpi=100)
