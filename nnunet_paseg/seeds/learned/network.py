"""Expansion network: a small U-Net whose encoder is shared by all image channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_paseg.seeds.learned.inputs import CHANNELS

FEATURES = (16, 32, 64, 128)
"""Features per resolution, from the finest to the coarsest."""

GROUP = 8
"""Features per group of the group normalisation."""


class Block(nn.Sequential):
    """Two convolutions, each with group normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [
                nn.Conv3d(channels, outputs, 3, padding=1, bias=False),
                nn.GroupNorm(outputs // GROUP, outputs),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class ExpansionNetwork(nn.Module):
    """Network from the maps of one target to a logit per voxel.

    Every image channel goes through the same encoder. At each resolution the features of the channels are averaged,
    with weights that the coarsest features determine, so that a channel without contrast counts less.

    Args:
        features: Features per resolution, from the finest to the coarsest.
    """

    def __init__(self, features: Sequence[int] = FEATURES) -> None:
        super().__init__()
        self.features = tuple(features)
        pairs = list(zip(self.features[:-1], self.features[1:], strict=True))
        self.encoder = nn.ModuleList([Block(CHANNELS, self.features[0]), *(Block(a, b) for a, b in pairs)])
        self.weight = nn.Linear(self.features[-1], len(self.features))
        self.upward = nn.ModuleList([nn.Conv3d(b, a, 1) for a, b in pairs])
        self.decoder = nn.ModuleList([Block(a, a) for a in self.features[:-1]])
        self.logit = nn.Conv3d(self.features[0], 1, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return logits (b, 1, z, y, x) for maps (b, c, 7, z, y, x) with c image channels."""
        batch, channels = maps.shape[:2]
        x = maps.flatten(0, 1).contiguous(memory_format=torch.channels_last_3d)
        levels = []
        for i, block in enumerate(self.encoder):
            x = block(x if i == 0 else F.max_pool3d(x, 2))
            levels.append(x)
        if channels > 1:
            weights = self.weight(x.mean((2, 3, 4))).view(batch, channels, -1).softmax(1)
            levels = [
                (level.unflatten(0, (batch, channels)) * weights[:, :, i, None, None, None, None]).sum(1)
                for i, level in enumerate(levels)
            ]
        x = levels[-1]
        for i in reversed(range(len(self.decoder))):
            x = self.decoder[i](levels[i] + F.interpolate(self.upward[i](x), scale_factor=2.0, mode="trilinear"))
        logits: torch.Tensor = self.logit(x)
        return logits
