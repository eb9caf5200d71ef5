"""Score tables: rows per case and class, their means, as text and as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.metrics import PRESETS

if TYPE_CHECKING:
    import pandas as pd

FOREGROUND = "foreground"
COLUMNS = (
    *("case", "class", "dice", "assd_mm", "hd95_mm"),
    *("reference_ml", "prediction_ml", "missing_prediction"),
)
"""Columns of a score table, one for each field of `Row`."""


@dataclass(frozen=True)
class Row:
    """Scores of one class in one case; a distance is NaN where either mask is empty."""

    case: str
    class_name: str
    dice: float
    assd_mm: float
    hd95_mm: float
    reference_ml: float
    prediction_ml: float
    missing_prediction: bool = False


@dataclass(frozen=True)
class Mean:
    """Means over the rows of one class: Dice over all rows, distances over the defined ones (NaN if there are none).

    All three are NaN for a class that is absent: in no reference and in no prediction.
    """

    class_name: str
    rows: int
    dice: float
    assd_mm: float
    hd95_mm: float
    undefined_distances: int

    @property
    def is_absent(self) -> bool:
        return isnan(self.dice)


def mean_scores(rows: Iterable[Row]) -> list[Mean]:
    """Return the means of every class in order of first appearance, then over all present classes as "foreground"."""
    rows = list(rows)
    table, present = _to_table(rows), present_classes(rows)
    by_class = [(str(name), group) for name, group in table.groupby("class", sort=False)]
    foreground = (FOREGROUND, table[table["class"].isin(present)])
    return [_mean(name, group, is_absent=name not in present) for name, group in by_class] + [_mean(*foreground)]


def present_classes(rows: Iterable[Row]) -> set[str]:
    """Return the classes that are in a reference or in a prediction; two empty masks compare nothing."""
    return {row.class_name for row in rows if row.reference_ml or row.prediction_ml}


def write_csv(rows: Iterable[Row], path: str | Path, *, preset: str) -> None:
    """Write one line per row, with the definition of the distances; the file is written atomically."""
    from nnunet_paseg.io.files import atomic_output

    path, table = Path(path), _to_table(rows)
    table = table.assign(missing_prediction=table["missing_prediction"].astype(int), definition=preset)
    try:
        with atomic_output(path) as temporary:
            # surrogateescape: a file name that is no UTF-8 is written as its own bytes.
            table.to_csv(
                temporary,
                index=False,
                float_format="%.6g",
                na_rep="nan",
                lineterminator="\r\n",
                errors="surrogateescape",
            )
    except OSError as error:
        raise PasegError(f"{path}: cannot be written ({error})") from error


def _to_table(rows: Iterable[Row]) -> pd.DataFrame:
    import pandas as pd  # slow to import, and `paseg --help` does not need it

    return pd.DataFrame([astuple(row) for row in rows], columns=list(COLUMNS))


def _mean(name: str, table: pd.DataFrame, *, is_absent: bool = False) -> Mean:
    if is_absent:
        return Mean(name, len(table), nan, nan, nan, undefined_distances=len(table))
    # Both distances of a row are undefined together: they come from the same two surfaces. pandas skips NaN.
    dice, assd_mm, hd95_mm = table[["dice", "assd_mm", "hd95_mm"]].mean()
    return Mean(name, len(table), dice, assd_mm, hd95_mm, undefined_distances=int(table["assd_mm"].isna().sum()))


def format_table(means: Sequence[Mean], *, preset: str) -> str:
    """Format means as aligned text, with the number of undefined distances and the definition of the metrics."""
    width = max(len("class"), *(len(mean.class_name) for mean in means))
    lines = [f"{'class':<{width}}  {'n':>5}  {'Dice':>6}  {'ASSD mm':>8}  {'HD95 mm':>8}  undefined distances"]
    for mean in means:
        if mean.is_absent:
            lines.append(f"{mean.class_name:<{width}}  {mean.rows:>5}  {'absent':>6}")
            continue
        distances = f"{_format_mm(mean.assd_mm):>8}  {_format_mm(mean.hd95_mm):>8}"
        numbers = f"{mean.rows:>5}  {mean.dice:>6.4f}  {distances}"
        lines.append(f"{mean.class_name:<{width}}  {numbers}  {mean.undefined_distances} of {mean.rows}")
    lines += [
        "",
        f"{preset}: {PRESETS[preset]}",
        "Distances are undefined where a mask is empty and not in their means.",
    ]
    return "\n".join(lines)


def _format_mm(length: float) -> str:
    """Format a distance with three decimals, or with three significant digits in images of micrometres."""
    return f"{length:.3g}" if 0 < length < 0.1 else f"{length:.3f}"
