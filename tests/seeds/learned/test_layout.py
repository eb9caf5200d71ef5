import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nnunet_paseg.seeds.learned.layout import Layout, interpolate

LAYOUT = Layout(16, 4)


def test_box_fills_the_inner_cube() -> None:
    assert LAYOUT.inner == 8
    # A box of 4 voxels over 8 voxels of the cube: centres every half voxel, the first at a quarter of voxel 10.
    centres = LAYOUT.centres((slice(10, 14),))[0]
    assert centres[4:12].tolist() == [9.75, 10.25, 10.75, 11.25, 11.75, 12.25, 12.75, 13.25]


def test_points_and_centres_agree() -> None:
    box = (slice(3, 11), slice(0, 8), slice(5, 13))
    points = np.array([[3, 0, 5], [10, 7, 12]])
    cube = LAYOUT.to_cube(points, box)
    assert cube.tolist() == [[4, 4, 4], [11, 11, 11]]
    for axis, centres in enumerate(LAYOUT.centres(box)):
        assert np.allclose(centres[cube[:, axis].astype(int)], points[:, axis])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_small_boxes_are_interpolated_linearly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.random((9, 10, 11)).astype(np.float32)
    box = tuple(slice(a := int(rng.integers(0, 5)), a + int(rng.integers(1, 5))) for _ in range(3))
    grid = np.stack(np.meshgrid(*LAYOUT.centres(box), indexing="ij"))
    assert np.allclose(
        LAYOUT.sample(image, box), ndimage.map_coordinates(image, grid, order=1, mode="nearest"), atol=1e-5
    )


def test_large_boxes_are_averaged() -> None:
    """A pattern of alternate planes vanishes where a voxel of the cube covers several of them."""
    image = np.zeros((64, 64, 64), dtype=np.float32)
    image[::2] = 1
    sampled = LAYOUT.sample(image, (slice(16, 48),) * 3)
    assert np.allclose(sampled[1:-1], 0.5, atol=0.01)


def test_constant_and_ramp_survive() -> None:
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32)[:, None, None], (40, 20, 20))
    box = (slice(8, 32), slice(4, 16), slice(4, 16))
    cube = LAYOUT.sample(ramp, box)
    assert np.allclose(cube[4:12, 8, 8], np.arange(8) * 3 + 9, atol=1e-4)
    assert np.allclose(LAYOUT.restore(cube, (24, 12, 12))[:, 6, 6], np.arange(8, 32), atol=1e-3)


@pytest.mark.parametrize("positions", [[-3.0, 0.0], [2.0, 7.0]])
def test_beyond_the_ends_the_last_voxel_is_repeated(positions: list[float]) -> None:
    line = np.array([5.0, 1.0, 2.0], dtype=np.float32)
    values = interpolate(line, 0, np.array(positions), 1.0)
    assert values.tolist() == ([5.0, 5.0] if positions[0] < 0 else [2.0, 2.0])


def test_image_of_a_single_slice() -> None:
    image = np.random.default_rng(0).random((1, 20, 20)).astype(np.float32)
    cube = LAYOUT.sample(image, (slice(0, 1), slice(4, 12), slice(4, 12)))
    assert np.allclose(cube, cube[:1])
    assert LAYOUT.restore(cube, (1, 8, 8)).shape == (1, 8, 8)
