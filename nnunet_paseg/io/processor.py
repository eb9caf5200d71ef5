"""The instructions of the processor that decide the precision of networks."""

from __future__ import annotations

import torch


def fast_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is faster than float32: on CUDA, and on CPUs with instructions for it.

    Early versions of torch cannot tell whether a CPU has them. Then the answer is no.
    """
    if device.type != "cpu":
        return device.type == "cuda"
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check is not None and check() for check in checks)
