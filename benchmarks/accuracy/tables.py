"""The tables: the headline, every cell with the part of the gap to dense masks that it closes, and their means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from scipy.stats import wilcoxon

from benchmarks.accuracy.grid import HEADLINE, METHODS
from benchmarks.accuracy.scores import Score, read_cases

BASELINE, PAPER, DENSE = "seeds", "seeds-paper", "dense"

SMALLEST_GAP = 0.10
"""In Dice, between seeds and dense masks: below it, the gap closed is mostly noise."""


@dataclass(frozen=True)
class Gap:
    """Which part of the way from a baseline to dense masks a method goes, and whether that way is long enough."""

    closed: float
    counts: bool

    def __str__(self) -> str:
        return f"{self.closed:.2f}{'' if self.counts else '*'}"


def gap_closed(score: Score, scores: Sequence[Score], baseline: str = BASELINE) -> Gap | None:
    """(method - baseline) / (dense - baseline) in Dice; None where either is not measured, and for the ends.

    The other cells are of the same dataset, points, iterations, preset and seed of weights. One run on the paper's
    seeds serves all seeds of weights, and so does one on dense masks, which have no points either.
    """
    same = _same(score, scores)
    if score.method in (baseline, PAPER, DENSE) or not {baseline, DENSE} <= same.keys():
        return None
    gap = same[DENSE].dice - same[baseline].dice
    # Dense masks that are no better than the seeds leave no way to go.
    return None if gap <= 0 else Gap((score.dice - same[baseline].dice) / gap, gap >= SMALLEST_GAP)


def _same(score: Score, scores: Sequence[Score]) -> dict[str, Score]:
    """By method; of several at the ends of the gap that of the same seed of weights, if there is one."""
    budget = (score.dataset, score.iterations, score.preset)
    mine = [other for other in scores if (other.dataset, other.iterations, other.preset) == budget]
    mine = [other for other in mine if other.method == DENSE or other.point_seed == score.point_seed]
    mine = [other for other in mine if other.method in (PAPER, DENSE) or other.weight_seed == score.weight_seed]
    mine.sort(key=lambda other: other.weight_seed == score.weight_seed)
    return {other.method: other for other in mine}


def p_value(score: Score, scores: Sequence[Score], results: Path, baseline: str = BASELINE) -> float | None:
    """Wilcoxon's signed-rank test over the test cases against the baseline, two-sided.

    Args:
        score: of the method.
        scores: among them the baseline's.
        results: folder with the scores of cases, in ``cases``.
        baseline: the method to test against.

    Returns:
        The probability; None where the scores of cases were not kept, or are of other cases.
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
    """Markdown: a line for each baseline, with Dice and its SD over cases of the headline's methods on the same points.

    The last line is the mean gap closed from the paper's seeds, as in :func:`means_table`.
    """
    lines = [f"| dataset, iterations, draw of points | {' | '.join(HEADLINE)} |", "|---" * (1 + len(HEADLINE)) + "|"]
    for score in scores:
        same = _same(score, scores)
        if score.method == BASELINE and DENSE in same:
            found = [same.get(method) for method in HEADLINE]
            dice = [f"{each.dice:.3f} ± {each.dice_std:.3f}" if each else "" for each in found]
            lines.append(f"| {_name(score)} | {' | '.join(dice)} |")
    if len(lines) == 2:
        return ""
    ends = {PAPER: "0", DENSE: "1"}
    gaps = [ends.get(method) or _mean_gap(method, scores, PAPER) for method in HEADLINE]
    return "\n".join([*lines, f"| **gap closed**, mean (runs) | {' | '.join(gaps)} |\n"])


def _name(score: Score) -> str:
    """The cell, without its method."""
    name = f"{score.dataset}, {score.iterations}, {score.point_seed}"
    name += f", weights {score.weight_seed}" if score.weight_seed else ""
    return name + (f" ({score.preset})" if score.preset != "cpu" else "")


def runs_table(scores: Sequence[Score], results: Path) -> str:
    """Markdown: a line a cell."""
    head = "dataset, iterations, point seed | method | Dice (SD over cases) | ASSD mm | HD95 mm | empty | "
    head += "gap closed | from the paper's seeds | of dense | p"
    lines = [f"| {head} |", "|---" * 10 + "|"]
    for score in scores:
        dice = f"{score.dice:.3f} ({score.dice_std:.3f})"
        distances = f"{score.assd_mm:.2f} | {score.hd95_mm:.2f} | {score.undefined_distances}"
        gaps = " | ".join(str(gap_closed(score, scores, baseline) or "") for baseline in (BASELINE, PAPER))
        dense, p = _same(score, scores).get(DENSE), p_value(score, scores, results)
        part = "" if dense is None or dense == score else f"{score.dice / dense.dice:.2f}"
        lines.append(f"| {_name(score)} | {score.method} | {dice} | {distances} | {gaps} | {part} | {_short(p)} |")
    return "\n".join(lines) + "\n"


def _short(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def spread_table(scores: Sequence[Score]) -> str:
    """Markdown: mean Dice over the runs of a method, for those that ran with several seeds of points or weights."""
    lines = ["| dataset, iterations | method | runs | Dice, mean | SD over runs |", "|---" * 5 + "|"]
    runs: dict[tuple[str, int, str, str], list[float]] = {}
    for score in scores:
        runs.setdefault((score.dataset, score.iterations, score.preset, score.method), []).append(score.dice)
    for (dataset, iterations, preset, method), dice in runs.items():
        if len(dice) > 1:
            name = f"{dataset}, {iterations}" + (f" ({preset})" if preset != "cpu" else "")
            lines.append(f"| {name} | {method} | {len(dice)} | {fmean(dice):.3f} | {stdev(dice):.3f} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def means_table(scores: Sequence[Score]) -> str:
    """Markdown: every method's mean gap closed over datasets and seeds, without the cells whose gap is too small."""
    lines = ["| method | gap closed, mean (cells) | from the paper's seeds, mean (cells) |", "|---|---|---|"]
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
    """All tables, with what the marks mean."""
    notes = f"""\
gap closed: (method - seeds) / (dense - seeds) in Dice, and the same from the paper's seeds. of dense: Dice as a part of
that of dense masks. p: Wilcoxon's signed-rank test against seeds, over the test cases, where their scores were kept.

\\* dense masks are less than {SMALLEST_GAP} Dice ahead of the baseline: says little, and is not in the means.
"""
    parts = (headline_table(scores), runs_table(scores, results), notes, spread_table(scores), means_table(scores))
    return "\n".join(part for part in parts if part)
