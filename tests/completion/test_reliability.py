import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_paseg.completion.reliability import Measure, Weight, combined, measure, probabilities, source_weights
from tests.completion.scene import block, target


def test_a_mask_that_fills_its_box_agrees_with_the_clicks():
    found = measure(block(4, 15), target())
    assert (found.agreement, found.extent) == (1, 1)
    # All voxels of the box are in the mask: 2 n p / (n p + n).
    p = 230 / 255
    assert found.expected_dice == pytest.approx(2 * p / (1 + p), rel=1e-5)
    assert found.magnitude == pytest.approx(math.log(p / (1 - p)), rel=1e-4)
    assert found.reliability == pytest.approx(found.expected_dice)


@pytest.mark.parametrize(("first", "last", "extent"), [(7, 12, 6 / 12), (4, 18, 12 / 15), (2, 15, 12 / 14)])
def test_the_extent_is_the_overlap_of_the_edges(first, last, extent):
    assert measure(block(first, last), target()).extent == pytest.approx(extent)


def test_a_mask_without_the_inner_point_is_unreliable():
    found = measure(block(12, 15), target())
    assert (found.agreement, found.extent, found.reliability) == (0, 0, 0)


def test_components_without_a_point_and_other_targets_do_not_count():
    values = block(4, 15)
    values[0, 0, 0] = 255
    assert measure(values, target()).extent == 1
    # The mask of the next target of the class touches this one.
    values[10, 10, 16:20] = 255
    assert measure(values, target()).extent == pytest.approx((1 + 1 + 12 / 16) / 3)
    assert measure(values, target(), [(slice(5, 14), slice(5, 14), slice(14, 20))]).extent == 1


def test_the_weights_are_odds():
    fair, good = Measure(0.75, 1, 1, 2.0), Measure(0.9, 1, 1, 4.0)
    one, other = source_weights([[fair, fair], [good, good]], (1, 1))
    assert (one.weight, other.weight) == (pytest.approx(3 / (3 + 9)), pytest.approx(9 / (3 + 9)))
    assert (one.reliability, one.magnitude) == (0.75, 2.0)


def test_a_source_that_depends_on_another_counts_less():
    one, other = source_weights([[Measure(0.75, 1, 1, 2.0)], [Measure(0.75, 1, 1, 2.0)]], (1, 0.4))
    assert (one.weight, other.weight) == (pytest.approx(1 / 1.4), pytest.approx(0.4 / 1.4))
    assert one.reliability == other.reliability == 0.75


@pytest.mark.parametrize(("values", "weights"), [((0.9, 0.0), (1, 0)), ((0.0, 0.9), (0, 1)), ((0.0, 0.0), (1, 0))])
def test_a_source_whose_masks_miss_the_points_has_no_weight(values, weights):
    found = source_weights([[Measure(value, 1, 1, 1.0)] for value in values], (1, 0.4))
    assert tuple(each.weight for each in found) == weights


def test_the_weights_separate_noisy_measurements_best():
    """As the rule assumes: r t plus noise of variance 1 - r. No other share of a fine grid makes fewer errors."""
    rng = np.random.default_rng(0)
    r = np.array([0.8, 0.6])
    t = rng.choice([-1, 1], 200_000)
    logits = r[:, None] * t + rng.normal(size=(2, len(t))) * np.sqrt(1 - r)[:, None]
    shares = np.linspace(0, 1, 101)
    errors = [np.mean(np.sign(share * logits[0] + (1 - share) * logits[1]) != t) for share in shares]
    share = source_weights([[Measure(value, 1, 1, 1.0)] for value in r], (1, 1))[0].weight
    assert np.interp(share, shares, errors) < min(errors) + 5e-4
    assert min(errors[0], errors[-1]) > min(errors) + 0.01


def test_a_perfect_source_does_not_silence_the_other():
    perfect, fair = source_weights([[Measure(1, 1, 1, 1.0)], [Measure(0.75, 1, 1, 1.0)]], (1, 1))
    assert perfect.weight == pytest.approx(99 / (99 + 3))
    assert fair.weight > 0


def test_equal_sources_are_themselves():
    values = np.array([[[0, 20, 128, 255]]], dtype=np.uint8)
    weights = [Weight(0.3, 0.8, 2.0), Weight(0.7, 0.8, 2.0)]
    assert combined([values, values], weights) == pytest.approx(probabilities(values), abs=1e-6)


def test_a_source_that_is_sure_everywhere_has_no_more_influence():
    """Its logits are twice as large, and so is their mean magnitude: with equal weights both cancel."""
    first = np.array([[[255 - 60]]], dtype=np.uint8)
    logit = math.log(195 / 60)
    second = np.array([[[round(255 / (1 + math.exp(2 * logit)))]]], dtype=np.uint8)
    assert combined([first, second], [Weight(0.5, 0.8, 1.0), Weight(0.5, 0.8, 2.0)]).item() == pytest.approx(
        0.5, abs=0.02
    )


@given(st.integers(0, 255), st.integers(0, 255), st.floats(0, 1), st.floats(0.5, 6), st.floats(0.5, 6))
def test_the_combination_is_finite_and_keeps_what_both_sources_state(one, other, share, size, other_size):
    weights = [Weight(share, 0.8, size), Weight(1 - share, 0.8, other_size)]
    values = [np.full((1, 1, 1), value, dtype=np.uint8) for value in (one, other)]
    p = combined(values, weights).item()
    assert 0 < p < 1
    if min(one, other) > 127:
        assert p > 0.5
    if max(one, other) < 128:
        assert p < 0.5
