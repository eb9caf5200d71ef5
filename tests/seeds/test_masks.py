"""Masks and probabilities of the classes of a case."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nnunet_paseg.seeds.masks import class_probability, expected_dice, merge_masks, target_masks
from tests.seeds.test_expand_learned import target

SHAPE = (1, 1, 6)


def on_line(label, start, *probabilities):
    box = (slice(0, 1), slice(0, 1), slice(start, start + len(probabilities)))
    return target(label, ((0, 0, start),), box), np.array(probabilities, dtype=np.float32)[None, None]


def test_each_voxel_goes_to_its_likeliest_target():
    line = [on_line(1, 0, 0.9, 0.6, 0.5, 0.7), on_line(2, 1, 0.7, 0.8, 0.65, 0.3)]
    for order in (line, line[::-1]):
        labels = merge_masks(*zip(*order, strict=True), SHAPE)
        assert labels.dtype == np.uint8
        assert labels.ravel().tolist() == [1, 2, 2, 1, 0, 0]


def test_probabilities_are_bytes_of_the_likeliest_target_of_the_class():
    line = [on_line(1, 0, 1.0, 0.5, 0.0), on_line(1, 1, 0.25, 0.2), on_line(2, 0, 0.9)]
    result = class_probability(1, *zip(*line, strict=True), SHAPE)
    assert result.dtype == np.uint8
    assert result.ravel().tolist() == [255, 128, 51, 0, 0, 0]
    assert (result / 255).ravel() == pytest.approx([1, 0.5, 0.2, 0, 0, 0], abs=0.5 / 255)


def test_no_target_is_an_empty_mask():
    assert not merge_masks([], [], SHAPE).any()
    assert not class_probability(1, [], [], SHAPE).any()


VALUES = arrays.arrays(np.float32, st.integers(1, 3), elements=st.sampled_from([0, 0.5, 0.6, 0.9]))
LINE = st.tuples(st.integers(0, 3), VALUES)


@given(st.lists(LINE, max_size=5))
def test_masks_are_the_largest_probability_wherever_the_boxes_are(lines):
    targets = [on_line(number, start, *values) for number, (start, values) in enumerate(lines, start=1)]
    instances, probabilities = [target for target, _ in targets], [p for _, p in targets]
    stacked = np.full((len(targets) + 1, 6), 0.5, dtype=np.float32)  # first: what is not above one half
    for number, (start, values) in enumerate(lines, start=1):
        stacked[number, start : start + len(values)] = values
    expected = stacked.argmax(axis=0)  # the first of equal ones
    assert merge_masks(instances, probabilities, SHAPE).ravel().tolist() == expected.tolist()
    sizes = [int(mask.sum()) for mask in target_masks(instances, probabilities)]
    assert sizes == [int((expected == number).sum()) for number in range(1, len(targets) + 1)]


@pytest.mark.parametrize(("values", "dice"), [([1, 1, 0], 1.0), ([0.9, 0.4], 1.8 / 2.3), ([0.5, 0.1], 0.0), ([0], 0.0)])
def test_the_expected_dice_is_that_of_calibrated_probabilities(values, dice):
    assert expected_dice(np.array(values, dtype=np.float32)) == pytest.approx(dice)
