"""The bias of the output layers before the first step: most voxels are background.

A new network gives all classes about the same probability. The first steps with nnU-Net's momentum of 0.99 then push
all voxels towards background, and far beyond it where targets are small. Some short trainings never recover: they end
without a single target. A network that starts at the prior has nothing to overshoot.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers.checkpoints.checkpointing import unwrap

FOREGROUND_PRIOR = 0.05
"""Probability of all foreground classes together before the first step."""


def set_prior(network: nn.Module, foreground_prior: float) -> None:
    """Set the bias of all output layers so that a new network predicts mostly background.

    Args:
        network: One of nnU-Net's U-Nets without wrappers.
        foreground_prior: Probability of all foreground classes together, each with the same part of it.

    Raises:
        PasegError: The probability is not between 0 and 1.

    Source:
        Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, section 3.3.
    """
    if not 0 < foreground_prior < 1:
        raise PasegError(f"foreground_prior is {foreground_prior}: choose a probability between 0 and 1, or None.")
    heads: Any = network.decoder.seg_layers  # type: ignore[union-attr]
    with torch.no_grad():
        for head in heads:
            head.bias[0] = math.log(1 - foreground_prior)
            head.bias[1:] = math.log(foreground_prior / (len(head.bias) - 1))


class PriorTrainer(nnUNetTrainer):
    """nnU-Net's trainer, started at the prior."""

    def initialize(self) -> None:
        """Let nnU-Net build everything, then set the bias of the output layers."""
        super().initialize()
        set_prior(unwrap(self.network), FOREGROUND_PRIOR)
