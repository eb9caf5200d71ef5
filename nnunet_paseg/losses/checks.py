"""Checks of the losses' inputs; every message states the value that was passed."""

import torch
from torch import Tensor

from nnunet_paseg.errors import PasegError


def check_maps(probabilities: Tensor, image: Tensor) -> None:
    """Raise PasegError unless `probabilities` (B, C, *spatial) and `image` (B, M, *spatial) have the same voxels.

    Raises:
        PasegError: The dimensions, batch sizes or spatial sizes differ, or the dtype is not floating point.
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
    """Raise PasegError unless `mask` is None or a bool (B, 1, *spatial) over the voxels of `maps` (B, C, *spatial).

    Raises:
        PasegError: The mask has a different shape or dtype.
    """
    if mask is None:
        return
    expected = (maps.shape[0], 1, *maps.shape[2:])
    if tuple(mask.shape) != expected:
        raise PasegError(f"mask must be (B, 1, *spatial) = {expected}, got {tuple(mask.shape)}")
    if mask.dtype != torch.bool:
        raise PasegError(f"mask must be bool (True = voxel included), got {mask.dtype}: pass mask.bool()")


def at_least_float32(tensor: Tensor) -> Tensor:
    """Convert half precision and integers to float32; return float32 and float64 unchanged."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def _voxels(maps: Tensor) -> tuple[int, ...]:
    return (maps.shape[0], *maps.shape[2:])
