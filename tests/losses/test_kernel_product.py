"""The kernel's product, pair by pair: each way of visiting the pairs against the dense kernel."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nnunet_paseg.losses import kernel_product as module
from nnunet_paseg.losses.kernel_product import Offset, half_window, kernel_product

VIEWS = ((0, 1), (0, 2), (1, 2))
SIZE = (5, 7, 6)
RADII = (3, 2, 4)
SIGMA = 0.3


@pytest.fixture
def case() -> tuple[Tensor, Tensor, tuple[Offset, ...]]:
    generator = torch.Generator().manual_seed(1)
    maps = torch.rand(2, 3, *SIZE, generator=generator, dtype=torch.float64)
    image = 0.4 * torch.randn(2, 2, *SIZE, generator=generator, dtype=torch.float64)
    return maps, image, half_window(SIZE, RADII, VIEWS, (0.75, 0.5, 0.35))


def dense_product(maps: Tensor, image: Tensor) -> Tensor:
    """K S from the full voxels x voxels matrix."""
    index = torch.cartesian_prod(*(torch.arange(n) for n in SIZE))
    step = (index[:, None] - index[None, :]).abs()
    distance = (step * torch.tensor([1.5, 1.0, 0.7])).double().square().sum(-1)
    views = torch.zeros(distance.shape, dtype=torch.float64)
    for first, second in VIEWS:
        third = 3 - first - second
        views += (step[..., third] == 0) & (step[..., first] <= RADII[first]) & (step[..., second] <= RADII[second])
    views.fill_diagonal_(0)
    values = image.flatten(2)
    colour = (values[..., None] - values[..., None, :]).square().sum(1)
    kernel = views * torch.exp(-distance / 8 - colour / (2 * SIGMA**2))
    return torch.einsum("bij,bsj->bsi", kernel, maps.flatten(2)).unflatten(2, SIZE)


def test_half_window_counts_every_displacement_once() -> None:
    offsets = half_window((64, 64, 64), (5, 5, 5), VIEWS, (1 / 6, 1 / 6, 1 / 6))
    # 60 in each of three views, of which 5 along each axis are shared by two.
    assert len(offsets) == 3 * 60 - 3 * 5
    steps = {offset.step for offset in offsets}
    assert len(steps) == len(offsets)
    assert not steps & {tuple(-n for n in step) for step in steps}
    weight = {offset.step: 2**offset.log2_weight for offset in offsets}
    assert weight[0, 0, 5] == pytest.approx(2 * math.exp(-25 / 72))
    assert weight[0, 3, -4] == pytest.approx(math.exp(-25 / 72))


def test_half_window_reaches_as_far_as_the_radius_of_each_axis() -> None:
    steps = {offset.step for offset in half_window((9, 9), (1, 2), ((0, 1),), (1 / 6, 1 / 6))}
    assert steps == {(0, 1), (0, 2), (1, -2), (1, -1), (1, 0), (1, 1), (1, 2)}


def test_half_window_leaves_out_what_the_image_does_not_reach() -> None:
    assert {offset.step for offset in half_window((1, 3), (5, 5), ((0, 1),), (1 / 6, 1 / 6))} == {(0, 1), (0, 2)}
    assert half_window((1, 1), (5, 5), ((0, 1),), (1 / 6, 1 / 6)) == ()


def test_equals_the_dense_kernel(case: tuple[Tensor, Tensor, tuple[Offset, ...]]) -> None:
    maps, image, offsets = case
    torch.testing.assert_close(kernel_product(maps, image, SIGMA, offsets), dense_product(maps, image))


def test_blocks_do_not_show(case: tuple[Tensor, Tensor, tuple[Offset, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    maps, image, offsets = case
    monkeypatch.setattr(module, "_BLOCK", 37)
    torch.testing.assert_close(kernel_product(maps, image, SIGMA, offsets), dense_product(maps, image))


def test_intensities_too_far_apart_have_no_kernel() -> None:
    image = torch.tensor([0.0, 1e4, 2e4, 2e4]).reshape(1, 1, 2, 2)
    product = kernel_product(torch.ones(1, 1, 2, 2), image, 0.1, half_window((2, 2), (5, 5), ((0, 1),), (1 / 6, 1 / 6)))
    kernel = math.exp(-1 / 72)
    assert product.flatten().tolist() == pytest.approx([0, 0, kernel, kernel], rel=1e-6)
    assert product.flatten().tolist()[:2] == [0, 0]


def test_pulling_pointwise_equals_the_dense_kernel(
    case: tuple[Tensor, Tensor, tuple[Offset, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    maps, image, offsets = case
    monkeypatch.setattr(module, "_pushed", lambda *arrays: module._pulled(module._pull, *arrays))
    torch.testing.assert_close(kernel_product(maps, image, SIGMA, offsets), dense_product(maps, image))


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore::UserWarning:torch")
def test_compiled_equals_the_dense_kernel(
    case: tuple[Tensor, Tensor, tuple[Offset, ...]], monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    maps, image, offsets = case
    compiled: Callable[..., None] = torch.compile(module._pull, backend=backend)
    monkeypatch.setattr(module, "_compiled_pull", lambda: compiled)
    monkeypatch.setattr(module, "_pushed", module._fused)  # the path that a GPU takes
    torch.testing.assert_close(kernel_product(maps, image, SIGMA, offsets), dense_product(maps, image))


def test_a_machine_that_cannot_compile_says_so_once(
    case: tuple[Tensor, Tensor, tuple[Offset, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[str] = []

    def broken(*_: object) -> None:
        attempts.append("compile")
        raise torch._dynamo.exc.TorchDynamoException("no compiler")

    maps, _, _ = case
    flat = maps[0].flatten(1)
    arrays = (flat, flat[:1], [1, 7], torch.tensor([0.0, -1.0], dtype=flat.dtype))
    monkeypatch.setattr(module, "_can_compile", True)
    monkeypatch.setattr(module, "_compiled_pull", lambda: broken)
    expected = module._pushed(*arrays)
    with pytest.warns(RuntimeWarning, match=r"without torch.compile, which failed: no compiler"):
        torch.testing.assert_close(module._fused(*arrays), expected)
    torch.testing.assert_close(module._fused(*arrays), expected)
    assert attempts == ["compile"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_compiled_and_not_equal_the_dense_kernel(
    case: tuple[Tensor, Tensor, tuple[Offset, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    maps, image, offsets = case
    expected = dense_product(maps, image)
    torch.testing.assert_close(kernel_product(maps.cuda(), image.cuda(), SIGMA, offsets).cpu(), expected)
    monkeypatch.setattr(module, "_fused", module._pushed)
    torch.testing.assert_close(kernel_product(maps.cuda(), image.cuda(), SIGMA, offsets).cpu(), expected)
