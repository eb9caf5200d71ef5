import math

import numpy as np
import pytest

from nnunet_paseg.seeds.likely_volume import contrast_volume, likely_volume, shape_volume


def line(size):
    return np.arange(size, dtype=float).reshape(1, 1, size)


@pytest.mark.parametrize("inside", [7, 20, 40])
def test_a_step_along_the_distance_is_found(inside):
    image = np.random.default_rng(0).normal(0, 0.1, (1, 1, 1, 100))
    image[..., :inside] += 1
    assert contrast_volume(image, line(100)) == inside


def test_a_change_of_texture_alone_is_found():
    rng = np.random.default_rng(0)
    image = np.concatenate([rng.normal(0.5, 0.05, 300), rng.normal(0.5, 0.5, 700)]).reshape(1, 1, 1, 1000)
    assert abs(contrast_volume(image, line(1000)) - 300) < 10


def test_every_channel_counts():
    image = np.random.default_rng(0).normal(0, 0.1, (2, 1, 1, 100))
    image[1, ..., :30] += 1
    assert contrast_volume(image, line(100)) == 30


def test_against_the_definition():
    rng = np.random.default_rng(1)
    image, distance = rng.uniform(-0.5, 1, (2, 3, 4, 5)), rng.random((3, 4, 5))
    values = image.reshape(2, -1)[:, np.argsort(distance.ravel())]

    def score(n):
        parts = (values[:, :n], values[:, n:])
        return sum(part.shape[1] * np.log(part.var(axis=1) + 2.5e-4).sum() for part in parts)

    assert contrast_volume(image, distance) == min(range(3, 28), key=score)


def test_it_stays_within_what_a_bounding_box_allows():
    image = np.zeros((1, 1, 1, 100))
    image[..., :80] = 1
    assert 5 <= contrast_volume(image, line(100)) <= 45
    assert 5 <= contrast_volume(np.zeros((1, 1, 1, 100)), line(100)) <= 45
    assert contrast_volume(np.zeros((1, 1, 1, 1)), line(1)) == 1


def test_an_ellipsoid_fills_what_its_ends_say():
    """Its ends are the middles of the faces of its bounding box."""
    shape = (21, 31, 41)
    middle = np.array(shape) // 2
    ends = np.array([np.where(np.arange(3) == axis, end, middle) for axis in range(3) for end in (0, shape[axis] - 1)])
    axes = np.meshgrid(*[(np.arange(n) - n // 2) / (n / 2) for n in shape], indexing="ij")
    ellipsoid = sum(axis**2 for axis in axes) <= 1
    assert shape_volume(ends, shape) == pytest.approx(ellipsoid.sum(), rel=0.02)


def test_on_the_diagonal_next_to_nothing_fills():
    ends = np.array([[0, 0, 0], [19, 19, 19]])
    assert shape_volume(ends, (20, 20, 20)) == 0.05 * 8000
    # Half way: each end lies a quarter of an edge beside the middle of its face.
    half = np.array([[0, 4, 9], [19, 15, 10]])
    aside = np.mean([math.hypot(0.275, 0.025), math.hypot(0.275, 0.025)])
    assert shape_volume(half, (20, 20, 20)) == pytest.approx(math.pi / 6 * (1 - 2 * aside) * 8000)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 100), (1, 9, 9)])
def test_flat_boxes_have_a_volume(shape):
    last = np.array(shape) - 1
    assert 1 <= shape_volume(np.array([np.zeros(3, int), last]), shape) <= math.prod(shape)


def test_both_estimates_meet_in_the_middle():
    image = np.random.default_rng(0).normal(0, 0.1, (1, 1, 1, 100))
    image[..., :20] += 1
    ends = np.array([[0, 0, 0], [0, 0, 99]])
    expected = math.sqrt(20 * math.pi / 6 * 100)
    assert likely_volume(image, line(100), ends) == pytest.approx(expected)
    assert likely_volume(image, line(100), ends[:0]) == 20
