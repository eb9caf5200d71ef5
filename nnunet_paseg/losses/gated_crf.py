"""Multi-view gated conditional random field (L_mCRF): similar neighbours should have the same class."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, ParamSpec, get_args

import torch
from torch import Tensor

from nnunet_paseg.errors import PasegError
from nnunet_paseg.losses.checks import at_least_float32, check_maps, check_mask
from nnunet_paseg.losses.kernel_product import Offset, half_window, kernel_product

Normalisation = Literal["voxels", "pairs"]
Views = Sequence[tuple[int, int]]
_Parameters = ParamSpec("_Parameters")


def _opaque(function: Callable[_Parameters, Tensor]) -> Callable[_Parameters, Tensor]:
    """Exclude a function from torch.compile, which would unroll the pairs into thousands of operations."""
    opaque: Callable[_Parameters, Tensor] = torch.compiler.disable(function)
    return opaque


@_opaque
def gated_crf_loss(
    probabilities: Tensor,
    image: Tensor,
    *,
    radius: int | Sequence[int] = 5,
    sigma_space: float | Sequence[float] = 6.0,
    sigma_intensity: float = 0.1,
    mask: Tensor | None = None,
    normalisation: Normalisation = "voxels",
    views: Views | None = None,
    spacing: Sequence[float] | None = None,
) -> Tensor:
    """Return the class disagreement of nearby voxels of similar intensity, over 2D windows in several views.

        K_ij = exp( -|x_i - x_j|^2 / (2 sigma_space^2) - |I_i - I_j|^2 / (2 sigma_intensity^2) )

        "voxels":  1 / (N n_views) * sum_v sum_i sum_{j != i} K_ij (1 - sum_c P_i^c P_j^c)
        "pairs":   the same double sum / sum_v sum_i sum_{j != i} K_ij, a mean over the pairs weighted by K

    j runs over the window of 2 radius + 1 voxels per axis around i in the slice of view v. Both voxels of a pair must
    be inside the image and the mask. K depends on the image alone and is symmetric, so with G = K P the gradient is
    -2 G over the same divisor. One pass over half of the window therefore gives value and gradient. The loss is
    computed in float32 (float64 for float64 probabilities), inside autocast too. It is differentiable once.

    Args:
        probabilities: Class probabilities (B, C, *spatial), two or three spatial axes.
        image: Intensities (B, M, *spatial), z-scored; no gradient reaches them.
        radius: Half width of the window, in voxels, at least 1; one number, or one per spatial axis. It can exceed
            the image.
        sigma_space: Width of the spatial term, in the units of `spacing` (voxels by default); one number, or one per
            spatial axis.
        sigma_intensity: Width of the intensity term, in the image's units.
        mask: Bool (B, 1, *spatial), False for the voxels to exclude from all pairs (padding).
        normalisation: "voxels" (the paper's; N is the number of voxels in the mask) or "pairs" (between 0 and 1 for
            any image; 0 if the kernel has no mass). "pairs" pools the views: one ratio of the sums.
        views: Pairs of spatial axes, each spanning the slices of one view; default all orthogonal ones.
        spacing: Relative voxel size per spatial axis, for anisotropic images; default 1 each. It stretches
            |x_i - x_j|; the window stays `radius` voxels.

    Returns:
        Scalar.

    Raises:
        PasegError: The shapes do not match, or a parameter is out of range.

    Source:
        Zhai et al., PA-Seg, IEEE TMI 2023, the multi-view gated CRF loss; Obukhov et al., Gated CRF Loss for Weakly
        Supervised Semantic Image Segmentation, 2019, arXiv 1906.04651.

    Example:
        >>> import torch
        >>> image = torch.zeros(1, 1, 4, 4, 4)
        >>> float(gated_crf_loss(torch.ones(1, 1, 4, 4, 4), image))
        0.0
    """
    check_maps(probabilities, image)
    check_mask(mask, probabilities)
    size = probabilities.shape[2:]
    views = _checked_views(views, len(size))
    spacing = _checked_spacing(spacing, len(size))
    radii, sigmas = _per_axis("radius", radius, len(size)), _per_axis("sigma_space", sigma_space, len(size))
    if not all(each >= 1 and int(each) == each for each in radii):
        raise PasegError(f"radius must be a whole number of voxels, at least 1, got {radius}")
    if not all(sigma > 0 for sigma in sigmas):
        raise PasegError(f"sigma_space must be above 0, got {sigma_space}")
    if not sigma_intensity > 0:
        raise PasegError(f"sigma_intensity must be above 0, got {sigma_intensity}")
    if normalisation not in get_args(Normalisation):
        raise PasegError(f"normalisation must be one of {get_args(Normalisation)}, got {normalisation!r}")

    # Distances in units of the width, which can differ per axis.
    widths = tuple(width / sigma for width, sigma in zip(spacing, sigmas, strict=True))
    offsets = half_window(tuple(size), tuple(int(each) for each in radii), views, widths)
    return _GatedCRF.apply(probabilities, image, mask, offsets, float(sigma_intensity), normalisation, len(views))


class _GatedCRF(torch.autograd.Function):
    """Value and gradient in one pass; only the gradient is stored for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        probabilities: Tensor,
        image: Tensor,
        mask: Tensor | None,
        offsets: tuple[Offset, ...],
        sigma_intensity: float,
        normalisation: Normalisation,
        views: int,
    ) -> Tensor:
        with torch.autocast(probabilities.device.type, enabled=False):
            p = at_least_float32(probabilities)
            inside = torch.ones_like(p[:, :1])
            image = image.to(p.dtype)
            if mask is not None:
                inside, p, image = inside * mask, torch.where(mask, p, 0), torch.where(mask, image, 0)
            # K applied to a map of ones is the mass of every voxel's pairs.
            product = kernel_product(torch.cat([p, inside], dim=1), image, sigma_intensity, offsets)
            product *= inside
            agreement, mass = product[:, :-1], product[:, -1:]
            # The difference per voxel, before the sum, because the two terms nearly cancel where neighbours agree.
            exact = torch.float32 if p.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
            energy = (mass - (agreement * p).sum(1, keepdim=True)).sum(dtype=exact)
            if normalisation == "voxels":
                divisor = inside.sum(dtype=exact).clamp(min=1) * views
            else:
                total = mass.sum(dtype=exact)
                divisor = torch.where(total > 0, total, 1)
            # In float32 for half-precision probabilities too: the backward pass multiplies by the scaler's factor.
            ctx.save_for_backward(agreement * (-2 / divisor).to(p.dtype))
            ctx.dtype = probabilities.dtype
            return (energy / divisor).to(p.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("gated_crf_loss is differentiable once: call backward without create_graph=True")
        (gradient,) = ctx.saved_tensors
        return (gradient * grad_outputs[0]).to(ctx.dtype), None, None, None, None, None, None


def _per_axis(name: str, value: float | Sequence[float], axes: int) -> tuple[float, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(values) != axes:
        raise PasegError(f"{name} must be one number, or one per spatial axis ({axes}), got {values}")
    return values


def _checked_views(views: Views | None, axes: int) -> tuple[tuple[int, int], ...]:
    if views is None:
        return tuple(itertools.combinations(range(axes), 2))
    if not views:
        raise PasegError("views must name at least one pair of spatial axes, got none")
    for view in views:
        if len(view) != 2 or view[0] == view[1] or not all(0 <= axis < axes for axis in view):
            raise PasegError(f"a view is a pair of two different spatial axes from 0 to {axes - 1}, got {view}")
    if len({frozenset(view) for view in views}) < len(views):
        raise PasegError(f"views must differ from each other, got {tuple(views)}")
    return tuple((first, second) for first, second in views)


def _checked_spacing(spacing: Sequence[float] | None, axes: int) -> tuple[float, ...]:
    if spacing is None:
        return (1.0,) * axes
    if len(spacing) != axes or not all(width > 0 for width in spacing):
        raise PasegError(f"spacing must be {axes} positive numbers, one per spatial axis, got {tuple(spacing)}")
    return tuple(float(width) for width in spacing)
