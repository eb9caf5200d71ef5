"""Scores of cases and classes as rows: their means, as text and as CSV."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.metrics import PRESETS

FOREGROUND = "foreground"
COLUMNS = (
    *("case", "class", "dice", "assd_mm", "hd95_mm"),
    *("reference_ml", "prediction_ml", "missing_prediction", "definition"),
)


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
    """Means over the rows of one class: Dice over all, distances over the defined ones (NaN if there is none)."""

    class_name: str
    rows: int
    dice: float
    assd_mm: float
    hd95_mm: float
    undefined_distances: int


def mean_scores(rows: Iterable[Row]) -> list[Mean]:
    """Means of every class in order of first appearance, then over all rows as "foreground"."""
    by_class: dict[str, list[Row]] = {}
    every = list(rows)
    for row in every:
        by_class.setdefault(row.class_name, []).append(row)
    return [_mean(name, group) for name, group in by_class.items()] + [_mean(FOREGROUND, every)]


def _mean(name: str, rows: Sequence[Row]) -> Mean:
    # Both distances of a row are undefined together: they come from the same two surfaces.
    defined = [row for row in rows if not np.isnan(row.assd_mm)]
    distances = [(row.assd_mm, row.hd95_mm) for row in defined] or [(float("nan"), float("nan"))]
    assd_mm, hd95_mm = np.mean(distances, axis=0)
    overlap = float(np.mean([row.dice for row in rows]))
    return Mean(name, len(rows), overlap, float(assd_mm), float(hd95_mm), len(rows) - len(defined))


def write_csv(rows: Iterable[Row], path: str | Path, *, preset: str) -> None:
    """Write one line a row, with the definition of the distances; the file appears only when it is complete."""
    from nnunet_paseg.io.files import atomic_output  # loads SimpleITK, which the parser does not need

    path = Path(path)
    try:
        with atomic_output(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in rows:
                numbers = (row.dice, row.assd_mm, row.hd95_mm, row.reference_ml, row.prediction_ml)
                rounded = [f"{number:.6g}" for number in numbers]
                writer.writerow([row.case, row.class_name, *rounded, int(row.missing_prediction), preset])
    except OSError as error:
        raise PasegError(f"{path}: cannot be written ({error})") from error


def format_table(means: Sequence[Mean], *, preset: str) -> str:
    """Means as aligned text, with the definitions and with the undefined distances counted."""
    width = max(len("class"), *(len(mean.class_name) for mean in means))
    lines = [f"{'class':<{width}}  {'n':>5}  {'Dice':>6}  {'ASSD mm':>8}  {'HD95 mm':>8}  undefined distances"]
    for mean in means:
        numbers = f"{mean.rows:>5}  {mean.dice:>6.4f}  {mean.assd_mm:>8.3f}  {mean.hd95_mm:>8.3f}"
        lines.append(f"{mean.class_name:<{width}}  {numbers}  {mean.undefined_distances} of {mean.rows}")
    lines += [
        "",
        f"{preset}: {PRESETS[preset]}",
        "Distances are undefined where a mask is empty and not in their means.",
    ]
    return "\n".join(lines)
