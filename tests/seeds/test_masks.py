"""Masks and probabilities of the classes of a case."""

import numpy as np
import pytest

from nnunet_paseg.seeds.masks import class_probability, merge_masks
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
