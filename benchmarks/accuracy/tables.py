"""The tables: the headline, every method over its runs, and every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

from benchmarks.accuracy.differences import LEVEL, difference
from benchmarks.accuracy.gaps import BASELINE, DENSE, OLD_DEFAULT, SMALLEST_GAP, comparable, gap_closed, p_value
from benchmarks.accuracy.grid import HEADLINE, METHODS, Method
from benchmarks.accuracy.scores import Score
from benchmarks.accuracy.tasks import TASKS

ENOUGH_RUNS = 3
"""Number of runs from which on a mean is not marked."""


@dataclass(frozen=True)
class Repeated:
    """The runs of one method with the same dataset, iterations and preset, which differ in their seeds."""

    scores: tuple[Score, ...]

    @property
    def dice(self) -> float:
        """Mean Dice over the runs."""
        return fmean(score.dice for score in self.scores)

    @property
    def std(self) -> float | None:
        """Standard deviation of Dice over the runs; None for a single run."""
        return stdev(score.dice for score in self.scores) if len(self.scores) > 1 else None

    @property
    def count(self) -> str:
        """Number of runs, marked if it is small."""
        return f"{len(self.scores)}{'' if len(self.scores) >= ENOUGH_RUNS else '†'}"

    def __str__(self) -> str:
        """Return mean, standard deviation and number of runs."""
        return f"{self.dice:.3f}{'' if self.std is None else f' ± {self.std:.3f}'} ({self.count})"


Budget = tuple[str, int, str]
"""Dataset, iterations and preset."""


def repeated(scores: Sequence[Score]) -> dict[Budget, dict[str, Repeated]]:
    """Return the runs by dataset, iterations and preset, and by method, in the order of the scores."""
    found: dict[Budget, dict[str, list[Score]]] = {}
    for score in scores:
        methods = found.setdefault((score.dataset, score.iterations, score.preset), {})
        methods.setdefault(score.method, []).append(score)
    return {
        budget: {method: Repeated(tuple(runs)) for method, runs in methods.items()} for budget, methods in found.items()
    }


def headline_table(scores: Sequence[Score]) -> str:
    """Return the headline in Markdown: one row per dataset with dense masks, one column per method that was run.

    The last rows are means over the datasets and over the runs.
    """
    rows = {budget: methods for budget, methods in repeated(scores).items() if DENSE in methods}
    shown = [method for method in HEADLINE if any(method in methods for methods in rows.values())]
    rows = {budget: methods for budget, methods in rows.items() if len(methods.keys() & set(shown)) > 1}
    if not rows:
        return ""
    lines = _head("dataset", "iterations", *(HEADLINE[method] for method in shown))
    for (dataset, iterations, preset), methods in rows.items():
        dice = [str(methods.get(method, "")) for method in shown]
        lines.append(f"| {_budget(TASKS[dataset].title, iterations, preset)} | {' | '.join(dice)} |")
    fractions, gaps = [_mean_fraction(m, rows) for m in shown], [_mean_gap(m, scores) for m in shown]
    lines.append(f"| **fraction of dense**, mean (datasets) | | {' | '.join(fractions)} |")
    lines.append(f"| **gap closed**, mean (runs) | | {' | '.join(gaps)} |")
    return "\n".join(lines) + "\n"


def _head(*titles: str) -> list[str]:
    return [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]


def _budget(dataset: str, iterations: int, preset: str) -> str:
    return f"{dataset} | {iterations}" + (f" ({preset})" if preset != "cpu" else "")


def _mean_fraction(method: str, rows: dict[Budget, dict[str, Repeated]]) -> str:
    if method == DENSE:
        return "1"
    fractions = [methods[method].dice / methods[DENSE].dice for methods in rows.values() if method in methods]
    return f"{fmean(fractions):.2f} ({len(fractions)})"


def _mean_gap(method: str, scores: Sequence[Score]) -> str:
    if method in (BASELINE, DENSE):
        return "0" if method == BASELINE else "1"
    own = [gap_closed(score, scores) for score in scores if score.method == method]
    gaps = [gap.closed for gap in own if gap is not None and gap.counts]
    return f"{fmean(gaps):.2f} ({len(gaps)})" if gaps else ""


def methods_table(scores: Sequence[Score], results: Path) -> str:
    """Return every method of every dataset in Markdown, with means over its runs, compared over all runs."""
    columns = ("runs", "mean Dice", "SD over runs", "mean SD over cases", "fraction of dense")
    compared = (f"minus `{DENSE}`", "p", "minus stock", "p")
    lines = _head("dataset", "iterations", "method", *columns, *compared)
    for (dataset, iterations, preset), methods in repeated(scores).items():
        for method in sorted(methods, key=_place):
            runs, dense = methods[method], methods.get(DENSE)
            spread = "" if runs.std is None else f"{runs.std:.3f}"
            cases = fmean(score.dice_std for score in runs.scores)
            fraction = "" if dense is None or method == DENSE else f"{runs.dice / dense.dice:.2f}"
            values = f"{runs.count} | {runs.dice:.3f} | {spread} | {cases:.3f} | {fraction}"
            others = [_difference(methods, method, other, results) for other in (DENSE, _stock(method))]
            lines.append(f"| {_budget(dataset, iterations, preset)} | {method} | {values} | {' | '.join(others)} |")
    return "\n".join(lines) + "\n"


def _stock(method: str) -> str | None:
    """Return the method with stock nnU-Net on the same labels of all cases; None for a method that no longer exists."""
    if method not in METHODS:
        return None
    stock = replace(METHODS[method], trainer=Method.trainer, starts_from="", share=None)
    return next((name for name, other in METHODS.items() if other == stock), None)


def _difference(methods: dict[str, Repeated], method: str, other: str | None, results: Path) -> str:
    """Return the difference with its interval, and p; both are empty for a method and itself."""
    if other is None or other == method or other not in methods:
        return " | "
    found = difference(methods[method].scores, methods[other].scores, results)
    return " | " if found is None else f"{found} | {_short(found.p)}"


def _place(method: str) -> tuple[int, str]:
    # A method that no longer exists is still a row of the table, the last one.
    return list(METHODS).index(method) if method in METHODS else len(METHODS), method


def runs_table(scores: Sequence[Score], results: Path) -> str:
    """Return all runs in Markdown, one row per run."""
    settings = ("dataset", "iterations", "point seed", "training seed", "method")
    columns = ("Dice", "SD over cases", "ASSD mm", "HD95 mm", "undefined distances", "gap closed", "fraction of dense")
    lines = _head(*settings, *columns, f"p, `{OLD_DEFAULT}`", f"p, `{DENSE}`")
    for score in scores:
        distances = f"{score.assd_mm:.2f} | {score.hd95_mm:.2f} | {score.undefined_distances}"
        dense, gap = comparable(score, scores).get(DENSE), gap_closed(score, scores) or ""
        fraction = "" if dense is None or dense == score else f"{score.dice / dense.dice:.2f}"
        p = " | ".join(_short(p_value(score, scores, results, other)) for other in (OLD_DEFAULT, DENSE))
        run = f"{_budget(score.dataset, score.iterations, score.preset)} | {score.point_seed} | {score.weight_seed}"
        values = f"{score.dice:.3f} | {score.dice_std:.3f} | {distances} | {gap} | {fraction} | {p}"
        lines.append(f"| {run} | {score.method} | {values} |")
    return "\n".join(lines) + "\n"


def _short(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


NOTES = f"""\
* Dice with ± is mean and SD over runs, with the number of runs in brackets. Runs differ in the training seed and,
  except for `{DENSE}`, in the simulated points.
* † marks fewer than {ENOUGH_RUNS} runs, too few for small differences.
* `{OLD_DEFAULT}` and the methods that start with it have the default seeds of earlier versions.
* SD over cases: standard deviation over test cases and classes.
* undefined distances: number of cases and classes with an empty prediction or reference.
* fraction of dense: Dice divided by the Dice of `{DENSE}`.
* gap closed: (method - `{BASELINE}`) / (`{DENSE}` - `{BASELINE}`) in Dice. An asterisk marks runs with a gap below
  {SMALLEST_GAP:g} Dice, which are excluded from the means.
* minus `{DENSE}`, minus stock: difference in Dice from dense masks, and from stock nnU-Net on the same labels, over all
  runs. In brackets is the {LEVEL:.0%} interval of a bootstrap over runs and test cases. Where a method has one run, the
  interval does not contain the spread between its runs.
* p: Wilcoxon's signed-rank test over the test cases, in the first of the two tables on their means over the runs, in
  the second for each run against `{OLD_DEFAULT}` and against `{DENSE}`.
"""


def page(scores: Sequence[Score], results: Path) -> str:
    """Return all tables and their notes in Markdown, the headline first."""
    parts = (headline_table(scores), NOTES, methods_table(scores, results), runs_table(scores, results))
    return "\n".join(part for part in parts if part)
