from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.learned.layout import Layout
from nnunet_paseg.seeds.learned.network import ExpansionNetwork
from nnunet_paseg.seeds.learned.predict import context_window, target_probability
from nnunet_paseg.seeds.learned.weights import Expander, load_expander


@pytest.fixture(scope="module")
def untrained() -> Expander:
    torch.manual_seed(0)
    return Expander(ExpansionNetwork((8, 8, 8)).eval().requires_grad_(False), Layout(16, 4), "0")


def ball(shape: tuple[int, int, int], centre: tuple[int, int, int], radius: float) -> np.ndarray:
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2


def clicked(centre: tuple[int, int, int], radius: int) -> VoxelInstance:
    extremes = [np.array(centre) + sign * radius * np.eye(3, dtype=int)[axis] for axis in range(3) for sign in (-1, 1)]
    box = tuple(slice(c - radius - 1, c + radius + 2) for c in centre)
    return VoxelInstance(1, np.array([centre]), box, extremes=np.array(extremes))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_a_crop_to_the_context_window_changes_nothing(untrained: Expander, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.random((2, 30, 34, 38))
    start = rng.integers(0, 26, 3)
    stop = np.minimum(start + rng.integers(2, 20, 3), image.shape[1:])
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    inner = rng.integers(start, stop, (2, 3))
    instance = VoxelInstance(1, inner[:1], box, background=inner[1:], extremes=inner[1:])  # type: ignore[arg-type]
    window = context_window([box], image.shape[1:])
    offset = np.array([side.start for side in window])
    shifted = replace(
        instance,
        foreground=inner[:1] - offset,
        background=inner[1:] - offset,
        extremes=inner[1:] - offset,
        box=tuple(slice(s.start - o, s.stop - o) for s, o in zip(box, offset, strict=True)),
    )
    whole = target_probability(image, instance, untrained)
    assert whole.shape == tuple(stop - start)
    assert whole.dtype == np.float32
    assert np.allclose(whole, target_probability(image[(slice(None), *window)], shifted, untrained), atol=1e-5)


def test_scale_of_the_intensities_does_not_matter(untrained: Expander) -> None:
    image = np.random.default_rng(0).random((1, 24, 24, 24))
    instance = clicked((12, 12, 12), 6)
    a, b = (target_probability(scaled, instance, untrained) for scaled in (image, 4000 * image - 1000))
    assert np.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("sign", [-1, 1])
def test_shipped_network_finds_a_ball(sign: int) -> None:
    truth = ball((48, 48, 48), (24, 24, 24), 10)
    noise = np.random.default_rng(0).normal(0, 0.1, truth.shape)
    instance = clicked((24, 24, 24), 10)
    probability = target_probability((sign * truth + noise)[None], instance, load_expander())
    mask, inside = probability > 0.5, truth[instance.box]
    assert 2 * (mask & inside).sum() / (mask.sum() + inside.sum()) > 0.9


def test_window_of_several_boxes_stays_in_the_image() -> None:
    boxes = [(slice(0, 4), slice(10, 20), slice(5, 6)), (slice(8, 10), slice(12, 14), slice(0, 6))]
    window = context_window(boxes, (12, 100, 7))
    assert window == (slice(0, 12), slice(3, 27), slice(0, 7))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_any_box_in_any_image_gives_probabilities(untrained: Expander, seed: int) -> None:
    """Also in a single slice, in a single voxel, and in a box as large as the image."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 14, 3)
    start = rng.integers(0, shape) * rng.integers(0, 2, 3)
    stop = np.where(rng.integers(0, 2, 3), shape, rng.integers(start, shape) + 1)
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    inner = rng.integers(start, stop, (3, 3))
    instance = VoxelInstance(1, inner[:1], box, background=inner[1:2], extremes=inner[2:])  # type: ignore[arg-type]
    image = rng.random((2, *shape))
    image[1] = 7
    probability = target_probability(image, instance, untrained)
    assert probability.shape == tuple(stop - start)
    assert probability.dtype == np.float32
    assert (probability >= 0).all()
    assert (probability <= 1).all()


@pytest.mark.parametrize("kind", ["u2", "i8", "f8", ">i2", ">f4"])
def test_type_of_the_voxels_does_not_matter(untrained: Expander, kind: str) -> None:
    image = np.random.default_rng(0).integers(0, 4000, (1, 20, 20, 20))
    instance = clicked((9, 10, 11), 5)
    expected = target_probability(image.astype(np.float32), instance, untrained)
    assert np.array_equal(target_probability(image.astype(kind), instance, untrained), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_values_that_are_not_finite_in_single_precision_are_refused(untrained: Expander, value: float) -> None:
    image = np.random.default_rng(0).random((2, 20, 20, 20))
    image[1, 9, 10, 3] = value  # outside the box, but in its surroundings
    with pytest.raises(PasegError, match="NaN, infinite or too large values near a target: repair the image"):
        target_probability(image, clicked((9, 10, 11), 5), untrained)


def test_shipped_network_finds_a_ball_next_to_a_channel_without_contrast() -> None:
    truth = ball((48, 48, 48), (24, 24, 24), 10)
    image = truth + np.random.default_rng(0).normal(0, 0.1, truth.shape)
    instance = clicked((24, 24, 24), 10)
    inside = truth[instance.box]
    for channels in ([image, np.full_like(image, 7)], [np.full_like(image, 7), image]):
        mask = target_probability(np.stack(channels), instance, load_expander()) > 0.5
        assert 2 * (mask & inside).sum() / (mask.sum() + inside.sum()) > 0.9
