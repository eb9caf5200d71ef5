"""Scores, reliability and tables of one measurement."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.expansion.methods import Cuts, Guess, learned, paper
from benchmarks.expansion.reliability import Reliability
from benchmarks.expansion.scores import Score, Summary, evaluate, score, summarise
from benchmarks.expansion.tables import record, reliability_table, table
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.learned.layout import Layout
from nnunet_paseg.seeds.learned.network import ExpansionNetwork
from nnunet_paseg.seeds.learned.weights import Expander
from tests.benchmarks.expansion.scene import cube_target


def perfect(target, clicks):
    """Return the mask itself, with p 0.95 in it and 0.05 elsewhere."""
    truth = target.mask[clicks.box]
    return Guess(truth, truth, ~truth, 1.5 * truth.sum(), np.where(truth, 0.95, 0.05).astype(np.float32))


def scores_of(dices, kind="cube"):
    found = [Score(f"case_{index}", 0, dice, 1.0, 1.0, 0.9, 0.5, 0.9, 0.5) for index, dice in enumerate(dices)]
    return Summary("Dataset900_A", kind, "learned", tuple(found), Reliability())


def test_scores_by_hand():
    target = cube_target(low=8, high=12)  # 64 voxels
    box = (slice(7, 13), slice(7, 13), slice(9, 13))
    truth = target.mask[box]  # 4 x 4 x 3 of 6 x 6 x 4 voxels
    foreground = np.zeros_like(truth)
    foreground[:2] = True  # 48 voxels, 12 of them in the target
    clicks = VoxelInstance(1, np.array([[8, 8, 9]]), box, background=np.array([[7, 7, 9]]))
    found = score(target, 3, clicks, Guess(truth, foreground, ~truth, 32.0))
    assert (found.case, found.draw) == ("case", 3)
    assert found.dice == pytest.approx(2 * 48 / (48 + 64))
    assert found.mask_volume == pytest.approx(48 / 64)
    assert found.volume == pytest.approx(0.5)
    # The background click is one of the 48 foreground seeds.
    assert found.foreground_precision == pytest.approx(12 / 47)
    assert found.foreground_recall == pytest.approx(12 / 64)
    assert found.background_precision == found.background_recall == 1


def test_the_clicked_voxel_is_a_seed_even_if_the_method_has_none():
    target = cube_target()
    clicks = target.draws[0]
    nothing = np.zeros(target.mask[clicks.box].shape, dtype=bool)
    found = score(target, 0, clicks, Guess(nothing, nothing, nothing, math.nan))
    assert found.dice == 0
    assert found.foreground_precision == 1
    assert found.foreground_recall == pytest.approx(1 / 216)
    assert math.isnan(found.background_precision)
    assert found.background_recall == 0


def test_reliability_by_hand():
    p = np.array([0.05, 0.05, 0.97, 1.0], dtype=np.float32)
    counted = Reliability.count(p, np.array([False, True, True, True]))
    assert [each for each in counted.bins if each[0]] == [
        (2, pytest.approx(0.05), 0.5),
        (2, pytest.approx(0.985), 1.0),
    ]
    assert counted.error == pytest.approx((2 * 0.45 + 2 * 0.015) / 4)
    assert (counted + counted).voxels[0] == 4
    assert (counted + counted).error == pytest.approx(counted.error)
    assert Reliability(**counted.to_json()).observed[-1] == 2
    assert math.isnan(Reliability.count(None, np.array([True])).error)


def test_means_and_spread_over_targets_and_draws():
    [summary] = summarise("perfect", perfect, [cube_target(case="a"), cube_target(case="b")], progress=False)
    assert (summary.dataset, summary.kind, summary.method) == ("Dataset900_A", "cube", "perfect")
    assert len(summary.scores) == 4
    assert summary.mean("dice") == summary.mean("background_precision") == 1
    assert summary.median("volume") == pytest.approx(1.5)
    assert summary.reliability.error == pytest.approx(0.05)
    draws = [Score("a", draw, dice, 1, 1, 1, 1, 1, 1) for draw, dice in ((0, 0.8), (1, 0.6), (0, 0.6), (1, 0.4))]
    mixed = Summary("A", "cube", "learned", tuple(draws), Reliability())
    assert mixed.spread == pytest.approx(math.sqrt(0.02))
    assert mixed.spread_of_draws == pytest.approx(math.sqrt(0.02))  # of 0.7 and 0.5
    assert mixed.cases == {"a": pytest.approx(0.6)}


def test_the_table_and_its_worst_cases():
    lines = table([scores_of([0.9, 0.2, 0.7, 0.6]), scores_of([0.8], "ball")]).splitlines()
    assert lines[2] == (
        "| cube (4) | learned | 0.600 ± 0.255 |  | 1.00 (1.00) | 1.00 (1.00) | 0.900 / 0.500 | 0.900 / 0.500 |  | "
        "case_1 0.20, case_3 0.60, case_2 0.70 |"
    )
    assert lines[4].startswith("| **mean of datasets** (1) | learned | 0.700 |  |")


def test_undefined_values_are_left_out():
    [summary] = summarise("paper", paper, [cube_target()], progress=False)
    row = record(summary)
    assert row["volume_mean"] is None
    assert row["background_precision"] is None
    assert row["calibration_error"] is None
    assert row["background_recall"] == 0
    assert row["foreground_precision"] > 0.9
    json.dumps(row, allow_nan=False)
    assert reliability_table([row]).count("\n") == 2  # the head alone


def test_the_table_of_reliability_pools_a_dataset():
    [summary] = summarise("perfect", perfect, [cube_target()], progress=False)
    [line] = reliability_table([record(summary)] * 2).splitlines()[2:]
    assert line.startswith("| Dataset900_A | 0.050 | 0.05: 0.00 |  |")
    assert line.endswith("| 0.95: 1.00 |")


def test_the_rule_of_the_paper_is_a_threshold_of_the_distance():
    target = cube_target(draws=1)
    [clicks] = target.draws
    guess = paper(target, clicks)
    assert guess.foreground[tuple((clicks.foreground - [side.start for side in clicks.box])[0])]
    assert not guess.background.any()
    assert math.isnan(guess.volume)
    # The rule works on raw intensities: with a steeper image the distance outside grows, and the seeds with it.
    steep = replace(target, image=target.image + 100 * target.mask)
    assert guess.foreground.sum() < paper(steep, clicks).foreground.sum() <= target.mask.sum()


def test_a_network_is_evaluated():
    expander = Expander(ExpansionNetwork((8, 8, 8)).eval().requires_grad_(False), Layout(), "")
    target = cube_target(channels=2)
    guess = learned(expander, Cuts(0.6, 0.3))(target, target.draws[0])
    p = guess.probability
    assert p.shape == target.mask[target.draws[0].box].shape
    assert guess.volume == pytest.approx(p.sum(), rel=1e-5)
    assert (guess.mask == (p > 0.5)).all()
    assert (guess.foreground == (p > 0.6)).all()
    assert (guess.background == (p < 0.3)).all()
    [summary] = evaluate(expander, [target], progress=False)
    assert summary.method == "learned"
    assert sum(summary.reliability.voxels) == sum(target.mask[clicks.box].size for clicks in target.draws)
