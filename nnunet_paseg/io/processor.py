"""What the processor decides: the precision in which networks compute."""

from __future__ import annotations

import torch
from torch import nn


def fast_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is faster than float32: on CUDA, and on CPUs with instructions for it.

    Early versions of torch cannot tell whether a CPU has them. Then the answer is no.
    """
    if device.type != "cpu":
        return device.type == "cuda"
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check is not None and check() for check in checks)


class ExactConv3d(nn.Conv3d):
    """Convolution that computes in float32, inside autocast too, where its kernel is longer than its input.

    In bfloat16, CPUs return a wrong gradient of its weights there: uninitialised memory, often NaN (torch 2.13 and
    2.14 with AVX-512 BF16, for two voxels and a kernel of three).
    """

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if all(voxels >= kernel for voxels, kernel in zip(input.shape[2:], self.kernel_size, strict=True)):
            return super()._conv_forward(input, weight, bias)
        with torch.autocast(input.device.type, enabled=False):
            return super()._conv_forward(input.float(), weight, bias)


def make_exact(network: nn.Module) -> None:
    """Let every 3D convolution of a network compute as :class:`ExactConv3d`, with the weights that it has."""
    for module in network.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = ExactConv3d
