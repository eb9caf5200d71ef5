"""The distillation loss: hand-computed values, SciPy's relative entropy, masks and precision."""

import math
from typing import Any

import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import Tensor

from nnunet_paseg.errors import PasegError
from nnunet_paseg.losses import distillation_loss


@pytest.fixture
def logits() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student = 3 * torch.randn(2, 4, 3, 5, 4, generator=generator, dtype=torch.float64)
    teacher = 3 * torch.randn(2, 4, 3, 5, 4, generator=generator, dtype=torch.float64)
    return student.requires_grad_(), teacher, torch.rand(2, 1, 3, 5, 4, generator=generator) > 0.4


def test_by_hand() -> None:
    teacher = torch.tensor([math.log(3) * 4, 0.0]).reshape(1, 2, 1)  # (3/4, 1/4) at temperature 4
    student = torch.zeros(1, 2, 1)
    expected = 16 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert distillation_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_scipy(logits: tuple[Tensor, Tensor, Tensor], masked: bool, temperature: float) -> None:
    student, teacher, mask = logits
    divergence = rel_entr(
        softmax(teacher.numpy() / temperature, axis=1), softmax(student.detach().numpy() / temperature, axis=1)
    ).sum(1)
    expected = temperature**2 * (divergence[mask[:, 0].numpy()] if masked else divergence).mean()
    value = distillation_loss(student, teacher, temperature=temperature, mask=mask if masked else None)
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_gradient_by_hand_and_gradcheck(logits: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, mask = logits
    assert torch.autograd.gradcheck(lambda s: distillation_loss(s, teacher, mask=mask), student)
    (gradient,) = torch.autograd.grad(distillation_loss(student, teacher), student)
    # T / N * (softmax(student / T) - softmax(teacher / T))
    expected = 4 / 120 * ((student / 4).softmax(1) - (teacher / 4).softmax(1))
    torch.testing.assert_close(gradient, expected)


def test_no_gradient_to_the_teacher(logits: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, _ = logits
    distillation_loss(student, teacher.requires_grad_()).backward()
    assert teacher.grad is None


def test_empty_mask_is_zero_with_zero_gradient(logits: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, mask = logits
    loss = distillation_loss(student, teacher, mask=torch.zeros_like(mask))
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None
    assert not student.grad.any()


def test_what_the_mask_hides_does_not_matter(logits: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, mask = logits
    expected = distillation_loss(student, teacher, mask=mask)
    hidden = torch.where(mask, student.detach(), math.nan).requires_grad_()
    found = distillation_loss(hidden, torch.where(mask, teacher, -math.inf), mask=mask)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, hidden), torch.autograd.grad(expected, student))


def test_half_precision_and_autocast_are_computed_in_float32(logits: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, mask = logits
    half = student.detach().half().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = distillation_loss(half, teacher.half(), mask=mask)
    assert loss.dtype == torch.float32
    assert loss.item() == distillation_loss(half.float(), teacher.half().float(), mask=mask).item()
    assert torch.autograd.grad(loss, half)[0].dtype == torch.float16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher_logits": torch.zeros(1, 3, 4, 4)}, r"got \(1, 2, 4, 4\) and \(1, 3, 4, 4\)"),
        ({"student_logits": torch.zeros(4, 4), "teacher_logits": torch.zeros(4, 4)}, r"got \(4, 4\)"),
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        ({"mask": torch.ones(1, 4, 4, dtype=torch.bool)}, r"\(1, 1, 4, 4\), got \(1, 4, 4\)"),
        ({"mask": torch.ones(1, 1, 4, 4)}, "mask must be bool"),
    ],
)
def test_errors_say_what_was_got(options: dict[str, Any], message: str) -> None:
    arguments = {"student_logits": torch.zeros(1, 2, 4, 4), "teacher_logits": torch.zeros(1, 2, 4, 4), **options}
    with pytest.raises(PasegError, match=message):
        distillation_loss(**arguments)
