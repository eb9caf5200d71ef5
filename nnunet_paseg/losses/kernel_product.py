"""The product of the gated kernel with maps over the image, pair by pair, without unfolding the window."""

import functools
import itertools
import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# Elements per block on the CPU: one block of every array fits into the cache.
_BLOCK = 1 << 18
# The kernel is 0 below twice the smallest normal float32: denormal numbers are up to 100 times slower on a CPU.
_LOWEST_LOG2 = -126.0
# Displacements in one fused GPU kernel.
_FUSED = 15
_can_compile = True


class Offset(NamedTuple):
    """A displacement j - i of the window: voxels per axis, and the base-2 logarithm of its weight in the kernel."""

    step: tuple[int, ...]
    log2_weight: float


@functools.lru_cache(maxsize=64)
def half_window(
    size: tuple[int, ...],
    radius: tuple[int, ...],
    views: tuple[tuple[int, int], ...],
    widths: tuple[float, ...],
) -> tuple[Offset, ...]:
    """Return every displacement of the union of the views once, up to its sign.

    A displacement along one axis is in several views, and their number is part of its weight. The kernel is symmetric,
    so the other half follows. The window reaches `radius` voxels per axis, but not further than the image. `widths`
    are the sizes of a voxel per axis, in units of the spatial width of the kernel.
    """
    multiplicity: Counter[tuple[int, ...]] = Counter()
    reach = [min(r, n - 1) for r, n in zip(radius, size, strict=True)]
    for first, second in views:
        for a, b in itertools.product(*(range(-reach[axis], reach[axis] + 1) for axis in (first, second))):
            displacement = [0] * len(size)
            displacement[first], displacement[second] = a, b
            if displacement > [0] * len(size):
                multiplicity[tuple(displacement)] += 1
    offsets = []
    for step, count in sorted(multiplicity.items()):
        exponent = sum((n * width) ** 2 for n, width in zip(step, widths, strict=True)) / 2
        offsets.append(Offset(step, math.log2(count) - exponent * math.log2(math.e)))
    return tuple(offsets)


def kernel_product(maps: Tensor, image: Tensor, sigma_intensity: float, offsets: tuple[Offset, ...]) -> Tensor:
    """Return K S, the sum over each voxel's neighbours of kernel times map.

        (K S)_i = sum_o w_o ( k(i, i+o) S_{i+o} + k(i, i-o) S_{i-o} )     k(i, j) = exp( -|I_i - I_j|^2 / (2 sigma^2) )

    Only voxels of the image are summed. A map that is zero outside a mask excludes the voxels there from every sum.

    Args:
        maps: Maps S (B, S, *spatial), float32 or float64.
        image: Image I (B, M, *spatial) of the same dtype; channels are combined by the Euclidean norm.
        sigma_intensity: Width sigma, in the image's units.
        offsets: Displacements o and weights w_o, from `half_window`.

    Returns:
        (B, S, *spatial), contiguous.
    """
    size = maps.shape[2:]
    # A margin after every axis turns each displacement into one shift of the flat array. Beyond the image there is a
    # margin, where the maps are 0. Flat shifts are several times faster than slices of a volume.
    margins = [max((abs(offset.step[axis]) for offset in offsets), default=0) for axis in range(len(size))]
    padded = [n + margin for n, margin in zip(size, margins, strict=True)]
    sources = _with_margins(maps, padded)
    # exp2 of a scaled image equals exp, and torch vectorises exp2 on the CPU for every argument.
    intensities = _with_margins(image * (math.sqrt(0.5 * math.log2(math.e)) / sigma_intensity), padded)
    strides = [math.prod(padded[axis + 1 :]) for axis in range(len(size))]
    shifts = [sum(n * stride for n, stride in zip(offset.step, strides, strict=True)) for offset in offsets]
    log2_weights = torch.tensor([offset.log2_weight for offset in offsets], dtype=maps.dtype, device=maps.device)

    product = (_fused if maps.is_cuda else _pushed)(sources, intensities, shifts, log2_weights)
    product = product.unflatten(1, (maps.shape[0], *padded))[_inside(size)]
    return product.transpose(0, 1).clone(memory_format=torch.contiguous_format)


def _with_margins(maps: Tensor, padded: list[int]) -> Tensor:
    """Convert (B, S, *spatial) to (S, B * voxels with margins), with zeros in the margins."""
    out = maps.new_zeros(maps.shape[1], maps.shape[0], *padded)
    out[_inside(maps.shape[2:])] = maps.transpose(0, 1)
    return out.flatten(1)


def _inside(size: Sequence[int]) -> tuple[slice, ...]:
    return (slice(None), slice(None), *(slice(n) for n in size))


def _pushed(sources: Tensor, intensities: Tensor, shifts: list[int], log2_weights: Tensor) -> Tensor:
    """Visit every pair once and update both voxels, in place and block by block."""
    product = torch.zeros_like(sources)
    length = sources.shape[1]
    block = length if sources.is_cuda else min(_BLOCK, length)
    difference, kernel = sources.new_empty(block), sources.new_empty(block)
    weights = log2_weights.unbind()
    for start in range(0, length, block):
        for shift, log2_weight in zip(shifts, weights, strict=True):
            count = min(start + block, length - shift) - start
            if count <= 0:
                continue
            here, there = slice(start, start + count), slice(start + shift, start + shift + count)
            d, k = difference[:count], kernel[:count]
            exponent = log2_weight
            for channel in intensities:
                torch.sub(channel[here], channel[there], out=d)
                exponent = torch.addcmul(exponent, d, d, value=-1, out=k)
            torch.threshold_(k.clamp_(min=_LOWEST_LOG2).exp2_(), 2.0 ** (_LOWEST_LOG2 + 1), 0.0)
            product[:, here].addcmul_(k, sources[:, there])
            product[:, there].addcmul_(k, sources[:, here])
    return product


def _pull(product: Tensor, sources: Tensor, intensities: Tensor, shifts: Tensor, log2_weights: Tensor) -> None:
    """Add to every voxel the terms of its neighbours at `_FUSED` displacements, pointwise, so that it can be fused."""
    length = sources.shape[1]
    here = torch.arange(length, device=sources.device)
    total = torch.zeros_like(product)
    for n in range(_FUSED):
        there = here + shifts[n]
        there = torch.where(there < length, there, there - length)  # with the margins the array is periodic
        exponent = log2_weights[n] - (intensities - intensities[:, there]).square().sum(0)
        kernel = torch.where(exponent > _LOWEST_LOG2 + 1, torch.exp2(exponent), 0)
        total = total + kernel * sources[:, there]
    product += total


def _pulled(
    pull: Callable[..., None], sources: Tensor, intensities: Tensor, shifts: list[int], log2_weights: Tensor
) -> Tensor:
    """Visit every pair from both voxels, so that each voxel is written by one thread only."""
    product = torch.zeros_like(sources)
    length = sources.shape[1]
    missing = -2 * len(shifts) % _FUSED
    ring = shifts + [length - shift for shift in shifts] + [0] * missing
    steps = torch.tensor(ring, device=sources.device).split(_FUSED)
    weights = torch.cat([log2_weights, log2_weights, log2_weights.new_full((missing,), -math.inf)]).split(_FUSED)
    for step, weight in zip(steps, weights, strict=True):
        pull(product, sources, intensities, step, weight)
    return product


def _fused(sources: Tensor, intensities: Tensor, shifts: list[int], log2_weights: Tensor) -> Tensor:
    """Run `_pulled` compiled; on a machine that cannot compile, warn once and run `_pushed` from then on."""
    global _can_compile
    if _can_compile:
        try:
            return _pulled(_compiled_pull(), sources, intensities, shifts, log2_weights)
        except torch._dynamo.exc.TorchDynamoException as error:
            _can_compile = False
            warnings.warn(
                f"The gated CRF loss runs without torch.compile, which failed: {error}", RuntimeWarning, stacklevel=2
            )
    return _pushed(sources, intensities, shifts, log2_weights)


@functools.cache
def _compiled_pull() -> Callable[..., None]:
    return torch.compile(_pull)
