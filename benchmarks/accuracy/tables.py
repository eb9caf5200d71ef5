"""The tables: the headline, all runs with the gap to dense masks that each closes, and their means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from scipy.stats import wilcoxon

from benchmarks.accuracy.grid import HEADLINE, METHODS, TASKS
from benchmarks.accuracy.scores import Score, read_cases

BASELINE, PAPER, DENSE = "seeds", "seeds-paper", "dense"

SMALLEST_GAP = 0.10
"""Smallest difference in Dice between seeds and dense masks; below it, the gap closed is mostly noise."""

SETTINGS = ("dataset", "iterations", "point seed", "training seed")
"""Columns that identify a run, except for its method."""


@dataclass(frozen=True)
class Gap:
    """The fraction of the gap between a baseline and dense masks that a method closes.

    Attributes:
        closed: Fraction, 1 for a method that is as good as dense masks.
        counts: Whether the gap is at least :data:`SMALLEST_GAP`.
    """

    closed: float
    counts: bool

    def __str__(self) -> str:
        """Return the fraction, with an asterisk if the gap is too small."""
        return f"{self.closed:.2f}{'' if self.counts else '*'}"


def gap_closed(score: Score, scores: Sequence[Score], baseline: str = BASELINE) -> Gap | None:
    """Return (method - baseline) / (dense - baseline) in Dice; None if either is not measured, and for both ends.

    The other runs have the same dataset, points, iterations, preset and training seed. One run on the published seeds
    serves all training seeds. One run on dense masks serves all training and point seeds.
    """
    same = _same(score, scores)
    if score.method in (baseline, PAPER, DENSE) or not {baseline, DENSE} <= same.keys():
        return None
    gap = same[DENSE].dice - same[baseline].dice
    # Dense masks that are no better than the seeds leave no gap to close.
    return None if gap <= 0 else Gap((score.dice - same[baseline].dice) / gap, gap >= SMALLEST_GAP)


def _same(score: Score, scores: Sequence[Score]) -> dict[str, Score]:
    """Return the comparable runs by method; of several on one method, the one with the same training seed."""
    budget = (score.dataset, score.iterations, score.preset)
    mine = [other for other in scores if (other.dataset, other.iterations, other.preset) == budget]
    mine = [other for other in mine if other.method == DENSE or other.point_seed == score.point_seed]
    mine = [other for other in mine if other.method in (PAPER, DENSE) or other.weight_seed == score.weight_seed]
    mine.sort(key=lambda other: other.weight_seed == score.weight_seed)
    return {other.method: other for other in mine}


def p_value(score: Score, scores: Sequence[Score], results: Path, baseline: str = BASELINE) -> float | None:
    """Return the p-value of Wilcoxon's two-sided signed-rank test over the test cases against the baseline.

    Args:
        score: Score of the method.
        scores: All scores, the baseline's included.
        results: Folder with the scores per case, in ``cases``.
        baseline: Method to test against.

    Returns:
        p-value; None if the scores per case are missing or belong to different cases.
    """
    other = _same(score, scores).get(baseline)
    if other is None or other == score:
        return None
    mine, theirs = (read_cases(results / "cases" / f"{each.name}.csv") for each in (score, other))
    if not mine or mine.keys() != theirs.keys():
        return None
    differences = [mine[case] - theirs[case] for case in mine]
    return float(wilcoxon(differences).pvalue) if any(differences) else 1.0


def headline_table(scores: Sequence[Score]) -> str:
    """Return the headline in Markdown: one row per baseline, with the Dice of the headline's methods and its SD.

    The methods of a row have the same points. The last row is the mean gap closed from the published seeds, as in
    :func:`means_table`.
    """
    lines = _head(*SETTINGS, *HEADLINE.values())
    for score in scores:
        same = _same(score, scores)
        if score.method == BASELINE and DENSE in same:
            found = [same.get(method) for method in HEADLINE]
            dice = [f"{each.dice:.3f} ± {each.dice_std:.3f}" if each else "" for each in found]
            lines.append(f"| {_settings(score, TASKS[score.dataset].title)} | {' | '.join(dice)} |")
    if len(lines) == 2:
        return ""
    ends = {PAPER: "0", DENSE: "1"}
    gaps = [ends.get(method) or _mean_gap(method, scores, PAPER) for method in HEADLINE]
    return "\n".join([*lines, f"| **gap closed**, mean (runs) | | | | {' | '.join(gaps)} |\n"])


def _head(*titles: str) -> list[str]:
    return [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]


def _settings(score: Score, dataset: str) -> str:
    """Return the cells of the columns :data:`SETTINGS`."""
    return f"{_budget(dataset, score.iterations, score.preset)} | {score.point_seed} | {score.weight_seed}"


def _budget(dataset: str, iterations: int, preset: str) -> str:
    return f"{dataset} | {iterations}" + (f" ({preset})" if preset != "cpu" else "")


def runs_table(scores: Sequence[Score], results: Path) -> str:
    """Return all runs in Markdown, one row per run."""
    columns = ("method", "Dice", "SD over cases", "ASSD mm", "HD95 mm", "undefined distances", "gap closed")
    lines = _head(*SETTINGS, *columns, "gap closed from published seeds", "fraction of dense", "p")
    for score in scores:
        distances = f"{score.assd_mm:.2f} | {score.hd95_mm:.2f} | {score.undefined_distances}"
        gaps = " | ".join(str(gap_closed(score, scores, baseline) or "") for baseline in (BASELINE, PAPER))
        dense, p = _same(score, scores).get(DENSE), p_value(score, scores, results)
        fraction = "" if dense is None or dense == score else f"{score.dice / dense.dice:.2f}"
        values = f"{score.method} | {score.dice:.3f} | {score.dice_std:.3f} | {distances} | {gaps} | {fraction}"
        lines.append(f"| {_settings(score, score.dataset)} | {values} | {_short(p)} |")
    return "\n".join(lines) + "\n"


def _short(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def spread_table(scores: Sequence[Score]) -> str:
    """Return the mean Dice over repeated runs in Markdown, for methods with several point or training seeds."""
    lines = _head("dataset", "iterations", "method", "runs", "mean Dice", "SD over runs")
    runs: dict[tuple[str, int, str, str], list[float]] = {}
    for score in scores:
        runs.setdefault((score.dataset, score.iterations, score.preset, score.method), []).append(score.dice)
    for (dataset, iterations, preset, method), dice in runs.items():
        if len(dice) > 1:
            values = f"{method} | {len(dice)} | {fmean(dice):.3f} | {stdev(dice):.3f}"
            lines.append(f"| {_budget(dataset, iterations, preset)} | {values} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def means_table(scores: Sequence[Score]) -> str:
    """Return each method's mean gap closed in Markdown, over the runs whose gap is large enough."""
    lines = _head("method", "mean gap closed (runs)", "mean gap closed from published seeds (runs)")
    for method in METHODS:
        columns = [_mean_gap(method, scores, baseline) for baseline in (BASELINE, PAPER)]
        if any(columns):
            lines.append(f"| {method} | {columns[0]} | {columns[1]} |")
    return "\n".join(lines) + "\n"


def _mean_gap(method: str, scores: Sequence[Score], baseline: str) -> str:
    own = [gap_closed(score, scores, baseline) for score in scores if score.method == method]
    gaps = [gap.closed for gap in own if gap is not None and gap.counts]
    return f"{fmean(gaps):.2f} ({len(gaps)})" if gaps else ""


def page(scores: Sequence[Score], results: Path) -> str:
    """Return all tables and their notes in Markdown, the headline first."""
    notes = f"""\
* SD over cases: standard deviation over test cases and classes.
* undefined distances: number of cases and classes with an empty prediction or reference.
* gap closed: (method - `seeds`) / (`dense` - `seeds`) in Dice; from published seeds: the same with `seeds-paper`.
  An asterisk marks runs with a gap below {SMALLEST_GAP:g} Dice, which are excluded from the means.
* fraction of dense: Dice divided by the Dice of `dense`.
* p: Wilcoxon's signed-rank test against `seeds` over the test cases.
"""
    parts = (headline_table(scores), runs_table(scores, results), notes, spread_table(scores), means_table(scores))
    return "\n".join(part for part in parts if part)
