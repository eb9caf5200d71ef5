"""The gated CRF loss: hand-computed values, the unfolding oracle, and what must not change it."""

import math
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nnunet_paseg.errors import PasegError
from nnunet_paseg.losses import gated_crf_loss
from tests.losses.unfolding import unfolding_gated_crf


def random_case(
    *size: int, batch: int = 1, classes: int = 2, channels: int = 1, dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities that want a gradient, an image with neighbours of similar intensity, and a mask with holes."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, classes, *size, generator=generator, dtype=dtype)
    probabilities = (logits.softmax(1) if classes > 1 else logits.sigmoid()).requires_grad_()
    image = 0.15 * torch.randn(batch, channels, *size, generator=generator, dtype=dtype)
    mask = torch.rand(batch, 1, *size, generator=generator) > 0.3
    return probabilities, image, mask


def value_and_gradient(loss: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
    return loss.detach(), torch.autograd.grad(loss, probabilities)[0]


def assert_equals_unfolding(probabilities: Tensor, image: Tensor, *, tolerance: float = 1e-10, **options: Any) -> None:
    value, gradient = value_and_gradient(gated_crf_loss(probabilities, image, **options), probabilities)
    expected, expected_gradient = value_and_gradient(
        unfolding_gated_crf(probabilities, image, **options), probabilities
    )
    assert expected > 0
    assert abs(value - expected) <= tolerance * abs(expected)
    assert (gradient - expected_gradient).abs().max() <= tolerance * expected_gradient.abs().max()


def test_two_voxels_by_hand() -> None:
    image = torch.tensor([0.0, 0.1], dtype=torch.float64).reshape(1, 1, 1, 2)
    probabilities = torch.tensor([[0.9, 0.2], [0.1, 0.8]], dtype=torch.float64).reshape(1, 2, 1, 2)
    probabilities.requires_grad_()
    kernel = math.exp(-1 / 72 - 0.5)
    value, gradient = value_and_gradient(gated_crf_loss(probabilities, image), probabilities)
    # Two ordered pairs over two voxels: the kernel times the chance of two different classes.
    assert value.item() == pytest.approx(kernel * (0.9 * 0.8 + 0.1 * 0.2), rel=1e-12)
    # dL/dP_i = -2 / N * K P_j
    assert gradient.flatten().tolist() == pytest.approx([-kernel * p for p in (0.2, 0.9, 0.8, 0.1)], rel=1e-12)


def test_a_pair_along_an_axis_lies_in_two_of_three_views() -> None:
    image = torch.zeros(1, 1, 1, 1, 2)
    probabilities = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).reshape(1, 2, 1, 1, 2)
    kernel = math.exp(-1 / 72)
    assert gated_crf_loss(probabilities, image).item() == pytest.approx(2 / 3 * kernel, rel=1e-6)
    assert gated_crf_loss(probabilities, image, views=[(0, 1)]).item() == 0
    assert gated_crf_loss(probabilities, image, views=[(2, 1)]).item() == pytest.approx(kernel, rel=1e-6)
    assert gated_crf_loss(probabilities, image, normalisation="pairs").item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("normalisation", ["voxels", "pairs"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("size", "shape", "options"),
    [
        ((7, 9, 5), {}, {}),
        ((7, 9, 5), {"batch": 3, "classes": 4, "channels": 3}, {"radius": 2}),
        ((3, 13, 11), {"classes": 1}, {"radius": 4, "spacing": (3.0, 0.8, 1.0)}),
        ((5, 6, 7), {"batch": 2}, {"views": [(1, 2)], "radius": 3}),
        ((5, 6, 7), {"batch": 2}, {"views": [(2, 0), (0, 1)], "sigma_space": 1.5, "sigma_intensity": 0.3}),
        ((4, 3, 2), {"batch": 2, "channels": 2}, {"radius": 8}),
        ((7, 6, 8), {"batch": 2, "classes": 3}, {"radius": (1, 2, 4), "spacing": (3.0, 1.0, 1.0)}),
        ((5, 9, 7), {}, {"radius": [3, 1, 6], "sigma_space": [2.0, 0.5, 9.0], "views": [(2, 0), (0, 1)]}),
        ((1, 1, 6), {}, {}),
        ((11, 15), {"batch": 2, "classes": 3, "channels": 2}, {}),
        ((8, 7), {}, {"radius": (1, 5)}),
        ((3, 4), {}, {"radius": 6, "spacing": (1.0, 2.5)}),
    ],
)
def test_equals_unfolding(
    size: tuple[int, ...], shape: dict[str, int], options: dict[str, Any], masked: bool, normalisation: str
) -> None:
    probabilities, image, mask = random_case(*size, **shape)
    assert_equals_unfolding(probabilities, image, mask=mask if masked else None, normalisation=normalisation, **options)


def test_equals_unfolding_in_float32() -> None:
    probabilities, image, mask = random_case(13, 17, 11, batch=2, classes=3, channels=2, dtype=torch.float32)
    assert_equals_unfolding(probabilities, image, mask=mask, tolerance=1e-5)


@given(
    size=st.lists(st.integers(1, 6), min_size=2, max_size=3),
    batch=st.integers(1, 2),
    classes=st.integers(1, 3),
    radii=st.lists(st.integers(1, 7), min_size=3, max_size=3),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=25)
def test_equals_unfolding_on_any_size(size: list[int], batch: int, classes: int, radii: list[int], seed: int) -> None:
    radius = radii[: len(size)]
    probabilities, image, mask = random_case(*size, batch=batch, classes=classes, seed=seed)
    value, gradient = value_and_gradient(
        gated_crf_loss(probabilities, image, radius=radius, mask=mask, normalisation="pairs"), probabilities
    )
    expected, expected_gradient = value_and_gradient(
        unfolding_gated_crf(probabilities, image, radius=radius, mask=mask, normalisation="pairs"), probabilities
    )
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-12)
    assert -1e-12 <= value <= 1 + 1e-12


@pytest.mark.parametrize("normalisation", ["voxels", "pairs"])
def test_gradcheck(normalisation: str) -> None:
    probabilities, image, mask = random_case(3, 4, 3, batch=2, classes=3, channels=2)
    assert torch.autograd.gradcheck(
        lambda p: gated_crf_loss(p, image, mask=mask, normalisation=normalisation), probabilities
    )


def test_second_derivative_is_refused() -> None:
    probabilities, image, _ = random_case(3, 3)
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(gated_crf_loss(probabilities, image), probabilities, create_graph=True)


def test_no_gradient_to_the_image() -> None:
    probabilities, image, _ = random_case(3, 3)
    gated_crf_loss(probabilities, image.requires_grad_()).backward()
    assert image.grad is None


def test_one_class_everywhere_costs_nothing() -> None:
    _, image, _ = random_case(9, 8, 7, dtype=torch.float32)
    certain = torch.zeros(1, 2, 9, 8, 7)
    certain[:, 1] = 1
    assert gated_crf_loss(certain, image).item() == 0


def test_pairs_of_a_constant_image_average_the_disagreement() -> None:
    probabilities = torch.full((1, 4, 6, 5, 4), 0.25, dtype=torch.float64)
    value = gated_crf_loss(probabilities, torch.full((1, 1, 6, 5, 4), 7.0), normalisation="pairs")
    assert value.item() == pytest.approx(0.75, rel=1e-12)


def test_mask_equals_cropping() -> None:
    probabilities, image, _ = random_case(6, 7, 8, classes=3)
    mask = torch.zeros(1, 1, 6, 7, 8, dtype=torch.bool)
    mask[..., 1:5, 2:6, :5] = True
    value, gradient = value_and_gradient(gated_crf_loss(probabilities, image, mask=mask), probabilities)
    cropped = gated_crf_loss(probabilities[..., 1:5, 2:6, :5], image[..., 1:5, 2:6, :5])
    torch.testing.assert_close(value, cropped.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(cropped, probabilities)[0])


def test_what_the_mask_hides_does_not_matter() -> None:
    probabilities, image, mask = random_case(5, 6, 4, batch=2)
    expected = value_and_gradient(gated_crf_loss(probabilities, image, mask=mask), probabilities)
    hidden = torch.where(mask, probabilities.detach(), math.nan).requires_grad_()
    found = value_and_gradient(gated_crf_loss(hidden, torch.where(mask, image, math.inf), mask=mask), hidden)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("normalisation", ["voxels", "pairs"])
def test_no_pair_no_loss(normalisation: str) -> None:
    probabilities, image, mask = random_case(5, 6, 4)
    far_apart = torch.arange(120.0, dtype=torch.float64).reshape(1, 1, 5, 6, 4) * 10
    for intensities, voxels in ((image, torch.zeros_like(mask)), (far_apart, None)):
        value, gradient = value_and_gradient(
            gated_crf_loss(probabilities, intensities, mask=voxels, normalisation=normalisation), probabilities
        )
        assert value == 0
        assert not gradient.any()


def test_half_precision_is_computed_and_scaled_in_float32() -> None:
    probabilities, image, _ = random_case(12, 12, 12, dtype=torch.float32)
    image = image * 1e5  # finite in float16, its squared differences are not
    half = probabilities.detach().half().requires_grad_()
    loss = gated_crf_loss(half, image.half())
    assert loss.dtype == torch.float32
    # A loss scaler's factor: the gradients alone would be zero in float16.
    (gradient,) = torch.autograd.grad(loss * 2.0**24, half)
    assert gradient.dtype == torch.float16
    wide = half.detach().float().requires_grad_()
    expected, expected_gradient = value_and_gradient(gated_crf_loss(wide, image.half()), wide)
    torch.testing.assert_close(loss.detach(), expected)
    torch.testing.assert_close(gradient.float() / 2.0**24, expected_gradient, rtol=1e-3, atol=1e-9)


def test_autocast_changes_nothing() -> None:
    probabilities, image, mask = random_case(5, 6, 4, dtype=torch.float32)
    expected = value_and_gradient(gated_crf_loss(probabilities, image, mask=mask), probabilities)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = gated_crf_loss(probabilities, image, mask=mask)
    torch.testing.assert_close(value_and_gradient(loss, probabilities), expected, rtol=0, atol=0)


def test_inside_a_compiled_function() -> None:
    probabilities, image, _ = random_case(5, 6, dtype=torch.float32)
    expected = value_and_gradient(2 * gated_crf_loss(probabilities + 0, image), probabilities)
    compiled = torch.compile(lambda p: 2 * gated_crf_loss(p + 0, image), backend="aot_eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about the graph break
        found = value_and_gradient(compiled(probabilities), probabilities)
    torch.testing.assert_close(found, expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_cpu() -> None:
    probabilities, image, mask = random_case(13, 9, 11, batch=2, classes=3, channels=2, dtype=torch.float32)
    expected = value_and_gradient(gated_crf_loss(probabilities, image, mask=mask), probabilities)
    there = probabilities.detach().cuda().requires_grad_()
    found = value_and_gradient(gated_crf_loss(there, image.cuda(), mask=mask.cuda()), there)
    torch.testing.assert_close([t.cpu() for t in found], list(expected), rtol=1e-5, atol=1e-8)


P = torch.rand(2, 3, 4, 5, 6)
I = torch.rand(2, 1, 4, 5, 6)  # noqa: E741


@pytest.mark.parametrize(
    ("probabilities", "image", "options", "message"),
    [
        (P[0, 0], I, {}, r"two or three spatial axes, got \(4, 5, 6\)"),
        (P, I[:1], {}, r"got \(1, 1, 4, 5, 6\) for probabilities \(2, 3, 4, 5, 6\)"),
        (P, I[..., 1:], {}, r"got \(2, 1, 4, 5, 5\)"),
        (P.long(), I, {}, "floating point, got torch.int64"),
        (P, I, {"mask": torch.ones(2, 4, 5, 6, dtype=torch.bool)}, r"\(2, 1, 4, 5, 6\), got \(2, 4, 5, 6\)"),
        (P, I, {"mask": torch.ones(2, 1, 4, 5, 6)}, "mask must be bool .* got torch.float32"),
        (P, I, {"radius": 0}, "radius must be .* got 0"),
        (P, I, {"radius": 2.5}, "radius must be .* got 2.5"),
        (P, I, {"radius": (1, 2)}, r"one per spatial axis .3., got \(1, 2\)"),
        (P, I, {"radius": (1, 2, 0)}, r"radius must be .* got \(1, 2, 0\)"),
        (P, I, {"sigma_space": 0.0}, "sigma_space must be above 0, got 0.0"),
        (P, I, {"sigma_space": (1.0, 0.0, 2.0)}, r"sigma_space must be above 0, got .1.0, 0.0, 2.0."),
        (P, I, {"sigma_space": [1.0, 2.0]}, r"sigma_space must be one number, or one per .* got .1.0, 2.0."),
        (P, I, {"sigma_intensity": -0.1}, "sigma_intensity must be above 0, got -0.1"),
        (P, I, {"normalisation": "mean"}, "one of .'voxels', 'pairs'., got 'mean'"),
        (P, I, {"views": []}, "at least one pair"),
        (P, I, {"views": [(0, 3)]}, r"from 0 to 2, got \(0, 3\)"),
        (P, I, {"views": [(1, 1)]}, r"two different spatial axes .* got \(1, 1\)"),
        (P, I, {"views": [(0, 1), (1, 0)]}, "views must differ"),
        (P, I, {"spacing": (1.0, 1.0)}, r"3 positive numbers, .* got \(1.0, 1.0\)"),
        (P, I, {"spacing": (1.0, 0.0, 1.0)}, r"3 positive numbers, .* got \(1.0, 0.0, 1.0\)"),
    ],
)
def test_errors_say_what_was_got(probabilities: Tensor, image: Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PasegError, match=message):
        gated_crf_loss(probabilities, image, **options)
