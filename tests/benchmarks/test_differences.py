"""Differences between methods over all their runs."""

import numpy as np
import pytest

from benchmarks.accuracy.differences import difference
from benchmarks.accuracy.scores import Score
from benchmarks.accuracy.tables import methods_table
from nnunet_paseg.evaluation.table import Row, write_csv


def run(folder, method, seed, dices):
    score = Score("sarcoma", method, 0, 1000, float(np.mean(dices)), 0.1, 1.0, 2.0, 0, seed)
    rows = [Row(f"case_{number}", "tumor", dice, 1.0, 2.0, 1.0, 1.0) for number, dice in enumerate(dices)]
    (folder / "cases").mkdir(exist_ok=True)
    write_csv(rows, folder / "cases" / f"{score.name}.csv", preset="default")
    return score


def test_one_run_each_by_hand(tmp_path):
    ours = [run(tmp_path, "learned", 1, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])]
    theirs = [run(tmp_path, "dense", 1, [0.4, 0.5, 0.6, 0.7, 0.8, 0.9])]
    found = difference(ours, theirs, tmp_path)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.p == pytest.approx(2 / 64)
    assert str(found) == "+0.100 [+0.100, +0.100]"
    assert difference(ours, ours, tmp_path).p == 1


def test_the_interval_contains_the_spread_of_runs_and_of_cases(tmp_path):
    rng = np.random.default_rng(1)
    cases = rng.uniform(0.5, 0.8, 40).round(2)
    theirs = [run(tmp_path, "dense", 1, cases)]
    same = difference([run(tmp_path, "learned", seed, cases + 0.05) for seed in (1, 2, 3)], theirs, tmp_path)
    assert same.high - same.low < 1e-6
    runs = [run(tmp_path, "learned", seed, cases + 0.05 * seed) for seed in (1, 2, 3)]
    spread = difference(runs, theirs, tmp_path)
    assert spread.mean == pytest.approx(0.1)
    # The mean of three draws out of three has 27 equally likely outcomes: 0.05 and 0.15 have probability 1 / 27 each.
    assert (spread.low, spread.high) == pytest.approx((0.05, 0.15))
    noisy = difference([run(tmp_path, "learned", 4, cases + rng.normal(0.1, 0.1, 40))], theirs, tmp_path)
    # Four standard errors, up to chance.
    assert noisy.high - noisy.low == pytest.approx(4 * 0.1 / np.sqrt(40), rel=0.3)


def test_nothing_to_compare(tmp_path):
    ours, other = run(tmp_path, "learned", 1, [0.5, 0.6]), run(tmp_path, "dense", 1, [0.5, 0.6, 0.7])
    assert difference([ours], [other], tmp_path) is None
    assert difference([ours], [], tmp_path) is None
    (tmp_path / "cases" / f"{ours.name}.csv").unlink()
    assert difference([ours], [other], tmp_path) is None


def test_methods_are_compared_with_dense_masks_and_with_stock_training_on_the_same_labels(tmp_path):
    scores = [
        run(tmp_path, "learned", 1, [0.5, 0.6, 0.7]),
        run(tmp_path, "learned-stage1", 1, [0.55, 0.65, 0.75]),
        run(tmp_path, "dense", 1, [0.6, 0.7, 0.8]),
    ]
    stock, stage1, dense = (line.split(" | ")[-4:] for line in methods_table(scores, tmp_path).splitlines()[2:])
    assert stock == ["-0.100 [-0.100, -0.100]", "0.250", "", " |"]
    assert stage1 == ["-0.050 [-0.050, -0.050]", "0.250", "+0.050 [+0.050, +0.050]", "0.250 |"]
    assert dense == ["", "", "", " |"]
