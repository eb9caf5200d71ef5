import numpy as np
import pytest

from nnunet_paseg.completion.clicks import clicked_masks, with_clicks
from tests.completion.scene import SHAPE, target


def in_box(instance, values):
    return np.ascontiguousarray(values[instance.box], dtype=np.float32)


def cube(first, last, inside=0.9, outside=0.1):
    values = np.full(SHAPE, outside, dtype=np.float32)
    values[first : last + 1, first : last + 1, first : last + 1] = inside
    return values


def test_the_component_of_the_inner_point_is_kept():
    one = target()
    values = cube(8, 12)
    values[4, 4, 4] = 0.99
    (mask,), (problems,) = clicked_masks([one], [in_box(one, values)])
    expected = np.zeros(SHAPE, dtype=bool)
    expected[8:13, 8:13, 8:13] = True
    assert np.array_equal(mask, expected[one.box])
    assert problems == []


def test_clicked_voxels_keep_their_label():
    one = target(foreground=[(10, 10, 10), (13, 10, 10)], background=[(9, 9, 9)])
    (mask,), (problems,) = clicked_masks([one], [in_box(one, cube(8, 12))])
    assert mask[6, 6, 6]
    assert mask[9, 6, 6], "outside the cube, but clicked"
    assert not mask[5, 5, 5]
    assert problems == ["the probabilities contradict a foreground point (p = 0.10)"]


def test_a_clicked_voxel_alone_is_no_mask():
    one = target(foreground=[(5, 5, 5)])
    (mask,), (problems,) = clicked_masks([one], [in_box(one, cube(9, 13))])
    assert mask.sum() == 5**3 + 1
    assert mask[1, 1, 1]
    assert problems == ["the probabilities contradict a foreground point (p = 0.10)"]


@pytest.mark.parametrize(("value", "message"), [(0.1, "find nothing of it"), (0.9, "find no background in its box")])
def test_empty_and_full(value, message):
    one = target()
    (mask,), (problems,) = clicked_masks([one], [in_box(one, np.full(SHAPE, value))])
    assert message in problems[-1]
    assert mask.any()


def test_points_of_other_targets():
    """Foreground of another class is not of this one, and a background point is background for all."""
    one = target(foreground=[(10, 10, 10)])
    other = target(6, 14, label=2, foreground=[(9, 9, 9)], background=[(11, 11, 11)])
    first, second = with_clicks([one, other], [in_box(each, cube(8, 12)) for each in (one, other)])
    assert (first[6, 6, 6], first[5, 5, 5], first[7, 7, 7]) == (1, 0, 0)
    assert (second[4, 4, 4], second[3, 3, 3], second[5, 5, 5]) == (0, 1, 0)


def test_a_point_of_the_same_class_belongs_to_its_own_target():
    one, other = target(4, 11, foreground=[(7, 7, 7)]), target(8, 15, foreground=[(9, 9, 9)])
    masks, _ = clicked_masks([one, other], [in_box(one, cube(4, 11, 0.99)), in_box(other, cube(8, 15, 0.2, 0.1))])
    assert not masks[0][5, 5, 5]
    assert masks[1][1, 1, 1]


def test_the_given_probabilities_are_not_changed():
    one = target(background=[(9, 9, 9)])
    values = in_box(one, cube(8, 12))
    before = values.copy()
    clicked_masks([one], [values])
    assert np.array_equal(values, before)
