import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import place_on_grid
from nnunet_paseg.points.simulate import simulate_points

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def grid_of(mask, spacing_mm=(2.0, 1.0, 1.0)):
    return Grid(mask.shape, spacing_mm, (0.0, 0.0, 0.0), IDENTITY)


def ellipsoid(shape, center, radii):
    axes = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    return sum(((a - c) / r) ** 2 for a, c, r in zip(axes, center, radii, strict=True)) <= 1


@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(2, 5)] * 3))
def test_the_box_holds_the_target_and_the_point_lies_deep_inside(seed, radii):
    mask = ellipsoid((20, 24, 28), (10, 12, 14), radii).astype(np.uint8)
    grid = grid_of(mask)
    (instance,) = simulate_points(mask, grid, {"tumor": 1}, np.random.default_rng(seed))
    assert instance.background.shape == (6, 3)
    assert mask[tuple(grid.to_voxels(instance.foreground)[0])] == 1
    assert not mask[tuple(grid.to_voxels(instance.background).T)].any()
    placed = place_on_grid(instance, grid, {"tumor": 1})
    outside = mask.copy()
    outside[placed.box] = 0
    assert not outside.any()
    for side, radius, center in zip(placed.box, radii, (10, 12, 14), strict=True):
        # One to three voxels outside the face, whose own plane is background: zero to two are left over.
        assert center - radius - 2 <= side.start <= center - radius
        assert center + radius <= side.stop - 1 <= center + radius + 2


def test_the_deepest_point_uses_the_spacing():
    mask = np.zeros((9, 9, 30), dtype=np.uint8)
    mask[2:7, 2:7, 2:28] = 1
    (instance,) = simulate_points(mask, grid_of(mask, (1.0, 1.0, 1.0)), {"a": 1}, np.random.default_rng(0))
    assert grid_of(mask, (1.0, 1.0, 1.0)).to_voxels(instance.foreground)[0, :2].tolist() == [4, 4]


def test_every_component_of_every_class_is_a_target_and_specks_are_not():
    mask = np.zeros((20, 20, 40), dtype=np.uint8)
    mask[5:9, 5:9, 5:9] = 1
    mask[5:9, 5:9, 20:25] = 1
    mask[14:18, 5:9, 5:9] = 2
    mask[1, 1, 1] = 2
    instances = simulate_points(mask, grid_of(mask), {"b": 2, "a": 1}, np.random.default_rng(0))
    assert [instance.class_name for instance in instances] == ["a", "a", "b"]


def test_a_class_of_specks_only_is_kept():
    mask = np.zeros((9, 9, 9), dtype=np.uint8)
    mask[4, 4, 4] = 1
    assert len(simulate_points(mask, grid_of(mask), {"a": 1}, np.random.default_rng(0))) == 1


def test_a_target_at_the_border_stays_in_the_image_and_in_its_box():
    mask = np.zeros((10, 10, 10), dtype=np.uint8)
    mask[0:4, 3:7, 6:10] = 1
    grid = grid_of(mask)
    (instance,) = simulate_points(mask, grid, {"a": 1}, np.random.default_rng(0))
    outside = mask.copy()
    outside[place_on_grid(instance, grid, {"a": 1}).box] = 0
    assert not outside.any()


def test_an_image_of_a_single_slice_gets_five_points():
    mask = ellipsoid((1, 40, 60), (0, 18, 30), (1, 12, 20)).astype(np.uint8)
    grid = grid_of(mask)
    (instance,) = simulate_points(mask, grid, {"tumor": 1}, np.random.default_rng(0))
    assert grid.to_voxels(instance.foreground).tolist() == [[0, 18, 30]]
    assert instance.background.shape == (4, 3)
    assert not mask[tuple(grid.to_voxels(instance.background).T)].any()
    assert place_on_grid(instance, grid, {"tumor": 1}).extremes.shape == (4, 3)


def test_the_same_seed_clicks_the_same_points():
    mask = ellipsoid((20, 24, 28), (10, 12, 14), (4, 5, 6)).astype(np.uint8)
    first, again, other = (
        simulate_points(mask, grid_of(mask), {"a": 1}, np.random.default_rng(seed))[0].background for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@given(st.integers(0, 5))
def test_the_margin_is_the_distance_from_the_faces(margin):
    mask = np.zeros((20, 20, 20), dtype=np.uint8)
    mask[7:13, 7:13, 7:13] = 1
    grid = grid_of(mask)
    rng = np.random.default_rng(0)
    (instance,) = simulate_points(mask, grid, {"a": 1}, rng, margin=(margin, margin))
    voxels = grid.to_voxels(instance.background)
    assert voxels.min(axis=0).tolist() == [7 - margin] * 3
    assert voxels.max(axis=0).tolist() == [12 + margin] * 3
