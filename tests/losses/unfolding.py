"""The gated CRF loss written straight from its formula: the window unfolded, the gradient left to autograd.

An oracle for tests and the other side of the benchmark. It shares no code and no idea with the package.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def unfolding_gated_crf(
    probabilities: Tensor,
    image: Tensor,
    *,
    radius: int | Sequence[int] = 5,
    sigma_space: float | Sequence[float] = 6.0,
    sigma_intensity: float = 0.1,
    mask: Tensor | None = None,
    normalisation: str = "voxels",
    views: Sequence[tuple[int, int]] | None = None,
    spacing: Sequence[float] | None = None,
) -> Tensor:
    """Return the loss of probabilities (B, C, *spatial) and image (B, M, *spatial); arguments as in the package."""
    axes = probabilities.ndim - 2
    views = views or [(a, b) for a in range(axes) for b in range(a + 1, axes)]
    spacing = spacing or (1.0,) * axes
    sigmas = (sigma_space,) * axes if isinstance(sigma_space, float) else tuple(sigma_space)
    radii = (radius,) * axes if isinstance(radius, int) else tuple(radius)
    exists = torch.ones_like(probabilities[:, :1]) if mask is None else mask.to(probabilities.dtype)
    image = image.to(probabilities.dtype)
    if mask is not None:
        probabilities = torch.where(mask, probabilities, 0)
        image = torch.where(mask, image, 0)
    energy = torch.zeros((), dtype=probabilities.dtype, device=probabilities.device)
    mass = torch.zeros_like(energy)
    for first, second in views:
        p, i, e = (_slices(maps, first, second) for maps in (probabilities, image, exists))
        window = (radii[first], radii[second])
        steps = [
            torch.arange(-radii[a], radii[a] + 1, dtype=p.dtype, device=p.device) * spacing[a] for a in (first, second)
        ]
        exponents = [step.square() / (2 * sigmas[a] ** 2) for step, a in zip(steps, (first, second), strict=True)]
        distance = exponents[0][:, None] + exponents[1][None, :]
        neighbours = _unfold(e, window) * e[:, :, None]
        neighbours[:, :, (2 * window[0] + 1) * (2 * window[1] + 1) // 2] = 0  # j != i
        colour = (_unfold(i, window) - i[:, :, None]).square().sum(1, keepdim=True)
        kernel = neighbours * torch.exp(-distance.reshape(1, 1, -1, 1, 1) - colour / (2 * sigma_intensity**2))
        agreement = (_unfold(p, window) * p[:, :, None]).sum(1, keepdim=True)
        energy = energy + (kernel * (1 - agreement)).sum()
        mass = mass + kernel.sum()
    if normalisation == "pairs":
        return energy / mass if mass > 0 else energy * 0
    return energy / (len(views) * exists.sum())


def _slices(maps: Tensor, first: int, second: int) -> Tensor:
    """(B, C, *spatial) -> (B * slices, C, height, width), the slices spanned by the two spatial axes."""
    slices = maps.movedim((first + 2, second + 2), (-2, -1))
    return slices if maps.ndim == 4 else slices.movedim(2, 1).flatten(0, 1)


def _unfold(slices: Tensor, radii: tuple[int, int]) -> Tensor:
    """(S, C, height, width) -> (S, C, window, height, width), zeros outside."""
    samples, channels, height, width = slices.shape
    window = functional.unfold(slices, (2 * radii[0] + 1, 2 * radii[1] + 1), padding=radii)
    return window.reshape(samples, channels, -1, height, width)
