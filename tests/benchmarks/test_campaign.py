"""The simulated campaign: steps, choices and table."""

import numpy as np
import pytest

from benchmarks.campaign.__main__ import page
from benchmarks.campaign.steps import ROUNDS, START, STEP, STRATEGIES, Step, doubt, next_cases

CASES = [f"case_{number:02d}" for number in range(30)]


def test_every_training_has_a_fold_of_its_own_and_the_start_is_shared():
    steps = [Step("glioma", *rest, number) for rest in ((0, s) for s in STRATEGIES) for number in range(ROUNDS + 1)]
    steps += [Step("glioma", 1, name, number) for name in STRATEGIES for number in range(ROUNDS + 1)]
    folds = {step.fold for step in steps}
    assert len(folds) == 2 * (1 + ROUNDS * len(STRATEGIES))
    assert min(folds) == 1
    assert Step("glioma", 1, "doubt", 0).fold == Step("glioma", 1, "random", 0).fold
    assert [Step("glioma", 0, "doubt", number).clicked for number in (0, 1)] == [START, START + STEP]


def test_doubt_by_hand():
    probabilities = np.zeros((3, 1, 1, 4), dtype=np.float32)
    probabilities[1] = [0.9, 0.9, 0.2, 0.0]
    # 2 * 1.8 / (2.0 + 2) for the first class, nothing for the second.
    assert doubt(probabilities, [1]) == pytest.approx(0.1)
    assert doubt(probabilities, [1, 2]) == pytest.approx(0.55)


def test_the_next_cases():
    clicked = CASES[:START]
    assert next_cases("random", clicked, CASES, {}) == CASES[: START + STEP]
    doubts = {case: number / 100 for number, case in enumerate(CASES) if case not in clicked}
    assert next_cases("doubt", clicked, CASES, doubts) == [*clicked, *reversed(CASES[-STEP:])]
    # Equal doubts keep the random order.
    assert next_cases("doubt", clicked, CASES, dict.fromkeys(CASES, 0.5)) == CASES[: START + STEP]


def test_table():
    dice = {("random", 0): 0.5, ("doubt", 0): 0.5, ("random", 1): 0.6, ("doubt", 1): 0.7}
    results = [(Step("glioma", repeat, *key), value + repeat / 10) for repeat in (0, 1) for key, value in dice.items()]
    rows = [line for line in page(results, "command").splitlines() if line.startswith("| glioma")]
    assert rows == [
        "| glioma | 10 | 0.550 ± 0.071 (2) | 0.550 ± 0.071 (2) | +0.000 ± 0.000 (2) |",
        "| glioma | 15 | 0.650 ± 0.071 (2) | 0.750 ± 0.071 (2) | +0.100 ± 0.000 (2) |",
    ]
