"""The variance loss: hand-computed values, NumPy's weighted variance, and the classes that are not there."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nnunet_paseg.errors import PasegError
from nnunet_paseg.losses import variance_loss


def random_case(*size: int, batch: int = 2, classes: int = 3, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(batch, classes, *size, generator=generator, dtype=torch.float64).softmax(1)
    image = torch.randn(batch, channels, *size, generator=generator, dtype=torch.float64)
    return probabilities.requires_grad_(), image, torch.rand(batch, 1, *size, generator=generator) > 0.3


def by_numpy(probabilities: Tensor, image: Tensor, mask: Tensor, normalisation: str) -> float:
    samples = []
    for p, i, m in zip(probabilities.detach().numpy(), image.numpy(), mask[:, 0].numpy(), strict=True):
        total = 0.0
        for weights in p:
            variances = [np.cov(channel[m], aweights=weights[m], ddof=0) for channel in i]
            share = 1.0 if normalisation == "class" else weights[m].sum() / m.sum()
            total += share * float(np.mean(variances))
        samples.append(total)
    return float(np.mean(samples))


def test_by_hand() -> None:
    image = torch.tensor([0.0, 2.0, 5.0, 5.0]).reshape(1, 1, 2, 2)
    first = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
    probabilities = torch.cat([first, 1 - first], 1)
    # First class: mean 1, variance 1; second class: constant. Half of the voxels are of the first.
    assert variance_loss(probabilities, image).item() == 1.0
    assert variance_loss(probabilities, image, normalisation="voxels").item() == 0.5


@pytest.mark.parametrize("normalisation", ["class", "voxels"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(5, 4, 3), (6, 7)])
def test_equals_numpy(size: tuple[int, ...], channels: int, normalisation: str) -> None:
    probabilities, image, mask = random_case(*size, channels=channels)
    value = variance_loss(probabilities, image, mask=mask, normalisation=normalisation)
    assert value.item() == pytest.approx(by_numpy(probabilities, image, mask, normalisation), rel=1e-12)
    everywhere = torch.ones_like(mask)
    value = variance_loss(probabilities, image, normalisation=normalisation)
    assert value.item() == pytest.approx(by_numpy(probabilities, image, everywhere, normalisation), rel=1e-12)


@pytest.mark.parametrize("normalisation", ["class", "voxels"])
def test_gradcheck(normalisation: str) -> None:
    probabilities, image, mask = random_case(3, 2, 3, channels=2)
    image.requires_grad_()

    def loss(p: Tensor) -> Tensor:
        return variance_loss(p, image, mask=mask, normalisation=normalisation)

    assert torch.autograd.gradcheck(loss, probabilities)
    assert torch.autograd.gradgradcheck(loss, probabilities)
    loss(probabilities).backward()
    assert image.grad is None


@pytest.mark.parametrize("normalisation", ["class", "voxels"])
@pytest.mark.parametrize("amount", [0.0, 1e-30, 1e-12])
def test_empty_class_adds_nothing_and_stays_finite(amount: float, normalisation: str) -> None:
    _, image, mask = random_case(4, 4, 4)
    image = image.float()
    present = torch.ones(2, 1, 4, 4, 4)
    empty = torch.full_like(present, amount).requires_grad_()
    alone = variance_loss(present, image, mask=mask, normalisation=normalisation)
    both = variance_loss(torch.cat([present, empty], 1), image, mask=mask, normalisation=normalisation)
    assert both.item() == pytest.approx(alone.item(), rel=1e-3)
    both.backward()
    assert empty.grad is not None
    assert torch.isfinite(empty.grad).all()


@pytest.mark.parametrize("normalisation", ["class", "voxels"])
def test_empty_mask_is_zero_with_zero_gradient(normalisation: str) -> None:
    probabilities, image, mask = random_case(4, 4, 4)
    loss = variance_loss(probabilities, image, mask=torch.zeros_like(mask), normalisation=normalisation)
    loss.backward()
    assert loss.item() == 0
    assert probabilities.grad is not None
    assert not probabilities.grad.any()


def test_gradient_of_a_small_class_is_inflated_by_class_but_not_by_voxels() -> None:
    image = torch.zeros(1, 1, 10, 10)
    image[..., 0, 0], image[..., 0, 1] = 1.0, -1.0
    first = torch.zeros(1, 1, 10, 10)
    first[..., 0, :2] = 1.0  # two voxels, mean 0, variance 1

    def steepest(normalisation: Any) -> float:
        probabilities = torch.cat([first, 1 - first], 1).requires_grad_()
        variance_loss(probabilities, image, normalisation=normalisation).backward()
        assert probabilities.grad is not None
        return probabilities.grad[:, 0].abs().max().item()

    # ((I - mu)^2 - variance) / V against (I - mu)^2 / N
    assert steepest("class") == pytest.approx(1 / 2)
    assert steepest("voxels") == pytest.approx(1 / 100)


def test_what_the_mask_hides_does_not_matter() -> None:
    probabilities, image, mask = random_case(4, 5, 3)
    expected = variance_loss(probabilities, image, mask=mask)
    hidden = torch.where(mask, probabilities.detach(), math.nan).requires_grad_()
    found = variance_loss(hidden, torch.where(mask, image, math.inf), mask=mask)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, hidden), torch.autograd.grad(expected, probabilities))


def test_large_intensities_keep_their_digits() -> None:
    probabilities, image, _ = random_case(16, 16, 16)
    expected = variance_loss(probabilities, image).item()
    assert variance_loss(probabilities.float(), image.float() + 1000).item() == pytest.approx(expected, rel=1e-3)


def test_half_precision_and_autocast_are_computed_in_float32() -> None:
    probabilities, image, mask = random_case(8, 8, 8)
    half = probabilities.detach().half().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = variance_loss(half, image.half(), mask=mask)
    assert loss.dtype == torch.float32
    assert loss.item() == variance_loss(half.float(), image.half().float(), mask=mask).item()
    assert torch.autograd.grad(loss, half)[0].dtype == torch.float16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalisation": "pairs"}, "one of .'class', 'voxels'., got 'pairs'"),
        ({"mask": torch.ones(2, 1, 4, 4)}, "mask must be bool"),
        ({"image": torch.zeros(2, 1, 4, 5)}, r"got \(2, 1, 4, 5\) for probabilities \(2, 3, 4, 4\)"),
    ],
)
def test_errors_say_what_was_got(options: dict[str, Any], message: str) -> None:
    arguments = {"probabilities": torch.rand(2, 3, 4, 4), "image": torch.zeros(2, 1, 4, 4), **options}
    with pytest.raises(PasegError, match=message):
        variance_loss(**arguments)
