"""What the losses demand of their inputs, with messages that say what was got."""

import torch
from torch import Tensor

from nnunet_paseg.errors import PasegError


def check_maps(probabilities: Tensor, image: Tensor) -> None:
    """Raise unless `probabilities` (B, C, *spatial) and `image` (B, M, *spatial) describe the same voxels.

    Raises:
        PasegError: On another number of dimensions, another batch or spatial size, or a dtype that is not floating.
    """
    if probabilities.ndim not in (4, 5):
        raise PasegError(
            f"probabilities must be (B, C, *spatial) with two or three spatial axes, got {tuple(probabilities.shape)}"
        )
    if image.ndim != probabilities.ndim or _voxels(image) != _voxels(probabilities):
        raise PasegError(
            f"image must be (B, M, *spatial) over the voxels of the probabilities: "
            f"got {tuple(image.shape)} for probabilities {tuple(probabilities.shape)}"
        )
    if not probabilities.is_floating_point():
        raise PasegError(f"probabilities must be floating point, got {probabilities.dtype}")


def check_mask(mask: Tensor | None, maps: Tensor) -> None:
    """Raise unless `mask` is None or a bool (B, 1, *spatial) over the voxels of `maps` (B, C, *spatial).

    Raises:
        PasegError: On another shape or dtype.
    """
    if mask is None:
        return
    expected = (maps.shape[0], 1, *maps.shape[2:])
    if tuple(mask.shape) != expected:
        raise PasegError(f"mask must be (B, 1, *spatial) = {expected}, got {tuple(mask.shape)}")
    if mask.dtype != torch.bool:
        raise PasegError(f"mask must be bool (True = voxel counts), got {mask.dtype}: pass mask.bool()")


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precision and integers become float32; float32 and float64 stay as they are."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def _voxels(maps: Tensor) -> tuple[int, ...]:
    return (maps.shape[0], *maps.shape[2:])
