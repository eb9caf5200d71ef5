"""Scores of the runs (results/accuracy.csv) and of their cases (results/cases)."""

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
    """Score of one run, a row of accuracy.csv.

    Attributes:
        dataset: Name of the task.
        method: Name of the method.
        point_seed: Seed of the simulated points.
        iterations: Total number of iterations of a training.
        dice: Mean Dice over test cases and classes.
        dice_std: Standard deviation of Dice over test cases and classes.
        assd_mm: Mean ASSD over test cases and classes with a defined distance.
        hd95_mm: Mean HD95 over test cases and classes with a defined distance.
        undefined_distances: Number of cases and classes with an empty prediction or reference.
        weight_seed: Training seed, as in :class:`~benchmarks.accuracy.runs.Run`; 0 if the file does not contain it.
        preset: Computing budget, as in :class:`~benchmarks.accuracy.runs.Run`; cpu if the file does not contain it.
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
        """Settings that identify the run."""
        return self.dataset, self.method, self.point_seed, self.iterations, self.weight_seed, self.preset

    @property
    def name(self) -> str:
        """Name of the files with its record and the scores of its cases."""
        weights = f"_weights{self.weight_seed}" if self.weight_seed else ""
        other = "" if self.preset == "cpu" else f"_{self.preset}"
        return f"{self.dataset}_{self.method}_{self.point_seed}_{self.iterations}{weights}{other}"


KINDS = {"str": str, "int": int, "float": float}
"""Types of the columns, by the name in their annotation."""


def score_of(run: Run, rows: Sequence[Row]) -> Score:
    """Return a run's score from the scores of its test cases."""
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
    """Return the scores in a CSV file, or none if the file does not exist.

    Raises:
        PasegError: A column is missing, or a value is not a number.
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
                raise PasegError(f"{file}, line {number}: not a run's score ({error}): correct the line.") from error
    return scores


def keep(score: Score, file: Path) -> list[Score]:
    """Add a score to a CSV file in place of an older one of the same run, and return all scores."""
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
    # A method that no longer exists is still a row of the table, the last one.
    place = methods.index(score.method) if score.method in methods else len(methods)
    return score.dataset, score.preset, score.iterations, score.point_seed, score.weight_seed, place, score.method


def read_cases(file: Path) -> dict[str, float]:
    """Return the mean Dice per case from a file of evaluation.table.write_csv; empty if the file does not exist."""
    if not file.exists():
        return {}
    found: defaultdict[str, list[float]] = defaultdict(list)
    with file.open(newline="", encoding="utf-8") as lines:
        for line in csv.DictReader(lines):
            found[line["case"]].append(float(line["dice"]))
    return {case: fmean(values) for case, values in found.items()}
