"""Clicks of a case while it is annotated, in memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nnunet_paseg.points.annotation import BACKGROUND, FOREGROUND, PLACES, Click, clicks_of, places_in, planned_clicks
from nnunet_paseg.points.directions import DIRECTIONS, OPPOSITE, faces
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

STRAIGHT = Grid((30, 40, 50), (2.0, 1.0, 0.5), (-7.0, 3.0, 11.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
STEPS = {  # LPS: x grows to the left, y to posterior, z to superior
    "left": [1, 0, 0],
    "right": [-1, 0, 0],
    "anterior": [0, -1, 0],
    "posterior": [0, 1, 0],
    "inferior": [0, 0, -1],
    "superior": [0, 0, 1],
}


def test_seven_clicks_in_their_order():
    places = [click.place for click in planned_clicks("tumor", 2)]
    assert places == ["inside", "left", "right", "anterior", "posterior", "inferior", "superior"]
    assert [click.label for click in planned_clicks("tumor", 2)][:2] == ["tumor 2 in", "tumor 2 out left"]
    assert all(click.position is None for click in planned_clicks("tumor"))
    assert OPPOSITE["anterior"] == "posterior"


def test_a_single_slice_has_no_clicks_above_and_below():
    grid = Grid((1, 40, 50), (2.0, 1.0, 0.5), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    assert places_in(grid) == PLACES[:5]
    assert len(planned_clicks("tumor", grid=grid)) == 5
    coronal = Grid((1, 40, 50), (2.0, 1.0, 0.5), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 0, 1.0, 0, -1.0, 0))
    assert set(PLACES) - set(places_in(coronal)) == {"anterior", "posterior"}


permutations = st.permutations([0, 1, 2])
signs = st.tuples(*[st.sampled_from([-1, 1])] * 3)
angles = st.tuples(*[st.floats(-20, 20)] * 3)


@given(permutations, signs, angles)
def test_a_step_to_a_side_is_one_along_its_axis(order, flips, degrees):
    axes = np.eye(3)[:, order] * flips
    turned = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() @ axes
    grid = Grid((30, 40, 50), (2.0, 1.0, 0.5), (-7.0, 3.0, 11.0), tuple(turned.ravel().tolist()))
    for name, step in STEPS.items():
        axis, sign = faces(grid)[name]
        moved = grid.to_indices(grid.to_world([15, 20, 25]) + np.array(step))[0] - [15, 20, 25]
        moved *= grid.spacing_mm
        assert np.abs(moved).argmax() == axis
        assert np.sign(moved[axis]) == sign


@given(permutations, signs, st.permutations(range(6)))
def test_outer_points_get_the_side_that_they_are_on(order, flips, shuffled):
    grid = Grid((60, 60, 60), (1.0, 1.0, 1.0), (9.0, 8.0, 7.0), tuple((np.eye(3)[:, order] * flips).ravel().tolist()))
    centre = grid.to_world([30, 30, 30])[0]
    # Each in front of its face, but not of the centre: nearly at the rim of the target.
    outer = np.array([centre + 9 * np.array(STEPS[name]) + 5 * np.roll(STEPS[name], 1) for name in DIRECTIONS])
    instance = Instance("tumor", np.array([centre, centre + 1]), np.array([*outer[list(shuffled)], centre - 2]))
    clicks = clicks_of([instance], grid)
    assert [click.place for click in clicks] == [*PLACES, FOREGROUND, BACKGROUND]
    np.testing.assert_allclose([click.position for click in clicks[1:7]], outer)
    assert clicks[0] == Click("tumor", 1, "inside", tuple(centre.tolist()))


def test_targets_are_numbered_within_their_class():
    instances = [Instance(name, np.array([[1.0, 2, 3]]), np.zeros((0, 3))) for name in ("tumor", "edema", "tumor")]
    numbers = [(click.class_name, click.number) for click in clicks_of(instances, STRAIGHT)]
    assert numbers == [("edema", 1), ("tumor", 1), ("tumor", 2)]


def test_a_point_on_no_side_is_a_further_one():
    instance = Instance("tumor", np.array([[0.0, 20, 30]]), np.array([[0.0, 20, 30]]))
    assert [click.place for click in clicks_of([instance], STRAIGHT)] == ["inside", BACKGROUND]


@pytest.mark.parametrize("place", PLACES)
def test_labels_contain_class_and_number(place):
    assert Click("left kidney", 3, place).label.startswith("left kidney 3 ")
