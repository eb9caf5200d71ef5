"""The instructions of the processor that decide the precision of networks."""

from __future__ import annotations

import torch


def fast_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is faster than float32: on CUDA, and on CPUs with instructions for it."""
    if device.type != "cpu":
        return device.type == "cuda"
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
