import numpy as np
import pytest

from nnunet_paseg.likely_volume import likely_volume


def line(size):
    return np.arange(size, dtype=float).reshape(1, 1, size)


@pytest.mark.parametrize("inside", [7, 20, 40])
def test_a_step_along_the_distance_is_found(inside):
    image = np.random.default_rng(0).normal(0, 0.1, (1, 1, 1, 100))
    image[..., :inside] += 1
    assert likely_volume(image, line(100)) == inside


def test_a_change_of_texture_alone_is_found():
    rng = np.random.default_rng(0)
    image = np.concatenate([rng.normal(0.5, 0.05, 300), rng.normal(0.5, 0.5, 700)]).reshape(1, 1, 1, 1000)
    assert abs(likely_volume(image, line(1000)) - 300) < 10


def test_every_channel_counts():
    image = np.random.default_rng(0).normal(0, 0.1, (2, 1, 1, 100))
    image[1, ..., :30] += 1
    assert likely_volume(image, line(100)) == 30


def test_against_the_definition():
    rng = np.random.default_rng(1)
    image, distance = rng.uniform(-1, 2, (2, 3, 4, 5)), rng.random((3, 4, 5))
    values = image.reshape(2, -1)[:, np.argsort(distance.ravel())]

    def score(n):
        parts = (values[:, :n], values[:, n:])
        return sum(part.shape[1] * np.log(part.var(axis=1) + 1e-3).sum() for part in parts)

    assert likely_volume(image, distance) == min(range(3, 28), key=score)


def test_it_stays_within_what_a_bounding_box_allows():
    image = np.zeros((1, 1, 1, 100))
    image[..., :80] = 1
    assert 5 <= likely_volume(image, line(100)) <= 45
    assert 5 <= likely_volume(np.zeros((1, 1, 1, 100)), line(100)) <= 45
    assert likely_volume(np.zeros((1, 1, 1, 1)), line(1)) == 1
