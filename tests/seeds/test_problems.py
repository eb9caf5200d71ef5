"""What contradicts the points of a target is named, once per target."""

import numpy as np
import pytest

from nnunet_paseg.seeds.expand import expand_points
from tests.seeds.test_expand_learned import IMAGE, OPTIONS, target


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda z, y, x, _: 0.5, ["the network finds nothing of it", "it has no background seeds in its box"]),
        (lambda z, y, x, _: 0.0, ["the network finds nothing of it", "contradicts a foreground point (p = 0.00)"]),
        (
            lambda z, y, x, _: 1.0,
            ["the network finds no background in its box", "contradicts a background point (p = 1.00)"],
        ),
        (
            lambda z, y, x, _: np.where(x < 5, 0.6, 0.05),
            ["contradicts a foreground point (p = 0.05)", "it has no foreground seeds but its points"],
        ),
        (lambda z, y, x, _: np.where(x < 6, 0.95, 0.3), ["it has no background seeds in its box"]),
        (lambda z, y, x, _: np.where(x < 6, 0.95, 0.05), []),
    ],
)
def test_problems_of_one_target(probability_of, function, expected):
    probability_of(function)
    marked = target(background=((7, 7, 7),))
    (problems,) = expand_points(IMAGE, [marked], **OPTIONS).problems
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


def test_a_target_whose_seeds_go_to_another_one_is_named(probability_of):
    probability_of(lambda z, y, x, instance: np.where(x < 7, 0.95 if instance.label == 1 else 0.92, 0.05))
    found = expand_points(IMAGE, [target(1), target(2, ((5, 5, 6),))], **OPTIONS)
    assert found.problems == [[], ["it has no foreground seeds but its points"]]
    assert found.labels[5, 5, 6] == 2
