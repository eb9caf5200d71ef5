"""How a score is spread over the cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunet_paseg.evaluation.table import FOREGROUND, Row


@dataclass(frozen=True)
class Spread:
    """One score of one class over the cases for which it is defined; NaN where there is none (``sd``: none or one)."""

    class_name: str
    count: int
    mean: float
    sd: float
    median: float
    low: float
    high: float


def spreads(rows: Sequence[Row], score: str) -> list[Spread]:
    """Spread of every class, and over all classes as "foreground" where there are several.

    Args:
        rows: scores.
        score: a number among the fields of a row, e.g. ``"dice"``.
    """
    by_class: dict[str, list[float]] = {}
    for row in rows:
        by_class.setdefault(row.class_name, []).append(getattr(row, score))
    if len(by_class) > 1:
        by_class[FOREGROUND] = [value for values in by_class.values() for value in values]
    return [_spread(name, values) for name, values in by_class.items()]


def _spread(name: str, values: Sequence[float]) -> Spread:
    defined = np.array([value for value in values if not math.isnan(value)])
    if not defined.size:
        return Spread(name, 0, *[math.nan] * 5)
    sd = float(defined.std(ddof=1)) if defined.size > 1 else math.nan
    low, median, high = (float(value) for value in np.percentile(defined, (0, 50, 100)))
    return Spread(name, len(defined), float(defined.mean()), sd, median, low, high)
