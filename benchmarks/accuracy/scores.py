"""Scores of cells, results/accuracy.csv; and of their cases, results/cases."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, pstdev

from benchmarks.accuracy.grid import METHODS
from benchmarks.accuracy.runs import Run
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.table import Row, mean_scores
from nnunet_paseg.io.files import atomic_output


@dataclass(frozen=True)
class Score:
    """One cell, a line of accuracy.csv.

    Attributes:
        dataset: the task.
        iterations: of a training, in all.
        dice, assd_mm, hd95_mm: means over test cases and classes; distances over the defined ones.
        dice_std: standard deviation over test cases and classes.
        undefined_distances: cases and classes where prediction or reference is empty.
        weight_seed, preset: as in :class:`~benchmarks.accuracy.runs.Run`; a file without them has the defaults.
    """

    dataset: str
    method: str
    point_seed: int
    iterations: int
    dice: float
    dice_std: float
    assd_mm: float
    hd95_mm: float
    undefined_distances: int
    weight_seed: int = 0
    preset: str = "cpu"

    @property
    def key(self) -> tuple[str, str, int, int, int, str]:
        """What tells it from other cells."""
        return self.dataset, self.method, self.point_seed, self.iterations, self.weight_seed, self.preset

    @property
    def name(self) -> str:
        """Of the files with its record and the scores of its cases."""
        weights = f"_weights{self.weight_seed}" if self.weight_seed else ""
        other = "" if self.preset == "cpu" else f"_{self.preset}"
        return f"{self.dataset}_{self.method}_{self.point_seed}_{self.iterations}{weights}{other}"


KINDS = {"str": str, "int": int, "float": float}
"""Types of the columns, by the names that the annotations above have."""


def score_of(run: Run, rows: Sequence[Row]) -> Score:
    """A cell's score from those of its test cases."""
    mean = mean_scores(rows)[-1]
    return Score(
        dataset=run.task,
        method=run.method,
        point_seed=run.point_seed,
        iterations=run.epochs * run.iterations,
        dice=round(mean.dice, 4),
        dice_std=round(pstdev(row.dice for row in rows), 4),
        assd_mm=round(mean.assd_mm, 4),
        hd95_mm=round(mean.hd95_mm, 4),
        undefined_distances=mean.undefined_distances,
        weight_seed=run.weight_seed,
        preset=run.preset,
    )


def read(file: Path) -> list[Score]:
    """The cells of a CSV file; none where there is no such file.

    Raises:
        PasegError: a column is missing, or a value is no number.
    """
    if not file.exists():
        return []
    scores = []
    with file.open(newline="", encoding="utf-8") as lines:
        for number, line in enumerate(csv.DictReader(lines), start=2):
            try:
                given = {field.name: KINDS[str(field.type)] for field in fields(Score) if line.get(field.name)}
                scores.append(Score(**{name: kind(line[name]) for name, kind in given.items()}))
            except (TypeError, ValueError) as error:
                raise PasegError(f"{file}, line {number}: not a cell's score ({error}): repair it.") from error
    return scores


def keep(score: Score, file: Path) -> list[Score]:
    """Add a cell to a CSV file, in place of an older one of the same name; all cells."""
    scores = [score, *(old for old in read(file) if old.key != score.key)]
    scores.sort(key=_order)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as output:
        writer = csv.DictWriter(output, list(asdict(score)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(line) for line in scores)
    return scores


def _order(score: Score) -> tuple[object, ...]:
    methods = list(METHODS)
    # A method that has been dropped since is still a line of the table, the last one.
    place = methods.index(score.method) if score.method in methods else len(methods)
    return score.dataset, score.preset, score.iterations, score.point_seed, score.weight_seed, place, score.method


def read_cases(file: Path) -> dict[str, float]:
    """Dice by case, over its classes, from a file that evaluation.table.write_csv wrote; empty if it is not there."""
    if not file.exists():
        return {}
    found: defaultdict[str, list[float]] = defaultdict(list)
    with file.open(newline="", encoding="utf-8") as lines:
        for line in csv.DictReader(lines):
            found[line["case"]].append(float(line["dice"]))
    return {case: fmean(values) for case, values in found.items()}
