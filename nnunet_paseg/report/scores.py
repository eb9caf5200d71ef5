"""Distribution of a score over the cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from nnunet_paseg.evaluation.table import FOREGROUND, Row


@dataclass(frozen=True)
class Spread:
    """One score of one class over the cases where it is defined; NaN if there is none (``sd``: none or one)."""

    class_name: str
    count: int
    mean: float
    sd: float
    median: float
    low: float
    high: float


def spreads(rows: Sequence[Row], score: str) -> list[Spread]:
    """Return the spread of every class, then over all classes as "foreground" if there are several.

    Args:
        rows: Scores.
        score: Name of a numeric field of a row, e.g. ``"dice"``.
    """
    frame = pd.DataFrame([asdict(row) for row in rows])
    groups = {str(name): group[score] for name, group in frame.groupby("class_name", sort=False)}
    if len(groups) > 1:
        groups[FOREGROUND] = frame[score]
    return [
        Spread(name, int(values.count()), values.mean(), values.std(), values.median(), values.min(), values.max())
        for name, values in groups.items()
    ]
