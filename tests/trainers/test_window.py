"""The window of the gated CRF loss: millimetres of the targets on the voxels of the grid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_paseg.trainers.window import (
    MAX_RADIUS,
    REACH,
    SIGMA,
    Window,
    published_window,
    window_of,
    window_of_targets,
)


def test_the_published_window():
    assert published_window((1, 2, 2)) == Window((1, 2, 2), (5, 5, 5), (6.0, 6.0, 6.0), 0.1)


def test_the_window_reaches_a_fraction_of_the_extent_in_millimetres():
    extents = [2 / REACH, 9 / REACH, 4 / REACH]
    window = window_of_targets(extents, [1.0, 3.0, 1.0], (2, 2, 2))
    assert window.pooling == (1, 1, 1)
    assert window.radius == (2, 3, 4)
    assert window.sigma_space == pytest.approx((2 * SIGMA, 3 * SIGMA, 4 * SIGMA))


def test_fine_axes_are_reduced_as_in_the_network_and_coarse_ones_never():
    window = window_of_targets([10 / REACH] * 3, [5.0, 1.0, 1.0], (1, 2, 2))
    assert window[:2] == ((1, 2, 2), (2, 5, 5))
    assert window.sigma_space == pytest.approx((2 * SIGMA, 5 * SIGMA, 5 * SIGMA))
    # A first pooling along coarse slices does not matter.
    assert window_of_targets([10 / REACH] * 3, [5.0, 1.0, 1.0], (2, 2, 2)) == window


def test_thick_slices_reach_one_voxel_only():
    """At 5 mm per slice a window of five voxels would reach 25 mm."""
    window = window_of_targets([20.0, 60.0, 60.0], [5.0, 1.5, 1.5], (1, 2, 2))
    assert window.radius[0] == 1
    assert window.sigma_space[0] == pytest.approx(SIGMA * REACH * 20 / 5)


@given(
    extents=st.lists(st.floats(0.5, 500), min_size=3, max_size=3),
    spacing=st.lists(st.floats(0.05, 12), min_size=3, max_size=3),
)
def test_a_window_has_one_to_five_voxels_on_either_side(extents, spacing):
    window = window_of_targets(extents, spacing, (2, 2, 2))
    assert all(1 <= radius <= MAX_RADIUS for radius in window.radius)
    assert all(sigma >= 0 for sigma in window.sigma_space)
    scaled = window_of_targets([2 * each for each in extents], [2 * each for each in spacing], (2, 2, 2))
    assert scaled.radius == window.radius


EXTENTS = {"large": [60.0, 80.0, 100.0], "small": [20.0, 90.0, 30.0]}


def test_the_smallest_class_counts_per_axis_in_the_order_of_the_plans():
    expected = window_of_targets([80.0, 20.0, 30.0], [2.0, 1.0, 1.0], (1, 2, 2))
    assert window_of({"target_extents_mm": EXTENTS}, [2.0, 1.0, 1.0], (1, 2, 2), [1, 0, 2]) == expected


def test_two_dimensions_leave_out_the_first_axis_of_the_plans():
    expected = window_of_targets([80.0, 30.0], [1.0, 1.0], (2, 2))
    assert window_of({"target_extents_mm": EXTENTS}, [1.0, 1.0], (2, 2), [0, 1, 2]) == expected


@pytest.mark.parametrize("dataset_json", [{}, {"target_extents_mm": {}}])
def test_without_extents_the_window_is_the_published_one(dataset_json):
    assert window_of(dataset_json, [1.0, 1.0, 1.0], (2, 2, 2), [0, 1, 2]) == published_window((2, 2, 2))
