"""The loss terms of every epoch: in nnU-Net's logger, and drawn next to its progress.png."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from nnunet_paseg.plotting.curves import curves_figure
from nnunet_paseg.plotting.figures import save_figure

PREFIX = "paseg/"
"""Start of this package's keys in nnU-Net's logger."""


def log_terms(logger: Any, terms: Mapping[str, float], epoch: int) -> None:
    """Log the terms of an epoch by nnU-Net's logger, and so by every logger that it feeds.

    nnU-Net expects one value per epoch under every key. A term is NaN in the epochs that did not log it.

    Args:
        logger: nnU-Net's MetaLogger.
        terms: Mean of every loss term.
        epoch: Epoch, counted from 0.
    """
    history = logger.local_logger.my_fantastic_logging
    keys = [PREFIX + name for name in terms] + [key for key in history if key.startswith(PREFIX)]
    for key in dict.fromkeys(keys):
        values = history.setdefault(key, [])
        values.extend([math.nan] * (epoch - len(values)))
        logger.log(key, float(terms.get(key.removeprefix(PREFIX), math.nan)), epoch)


def terms_figure(history: Mapping[str, Sequence[Any]]) -> Figure | None:
    """Draw every loss term over the epochs, one panel each.

    Args:
        history: nnU-Net's logging dictionary.

    Returns:
        The figure, or None if no term was logged.
    """
    terms = {key.removeprefix(PREFIX): values for key, values in history.items() if key.startswith(PREFIX)}
    return curves_figure({name: {name: values} for name, values in terms.items()}) if terms else None


def plot_terms(history: Mapping[str, Sequence[Any]], path: Path) -> None:
    """Draw `terms_figure` into a PNG file; nothing if no term was logged."""
    figure = terms_figure(history)
    if figure is not None:
        save_figure(figure, path)
