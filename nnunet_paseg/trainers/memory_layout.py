"""How the weights of a network lie in memory."""

from __future__ import annotations

import torch
from torch import nn


def lay_out(network: nn.Module, device: torch.device) -> None:
    """On a CPU, put the channels of all kernels last, which makes oneDNN's convolutions faster; in place.

    Small networks gain most. A GPU is left alone: cuDNN chooses for itself there.

    Args:
        network: in two or three dimensions. What it computes stays the same, but for rounding.
        device: that it runs on.
    """
    if device.type == "cpu":
        flat = not any(weight.dim() == 5 for weight in network.parameters())
        network.to(memory_format=torch.channels_last if flat else torch.channels_last_3d)  # type: ignore[call-overload]
