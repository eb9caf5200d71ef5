"""bfloat16 on CPUs that have instructions for it: training, validation and calibration take about half the time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from nnunet_paseg.io.processor import fast_bfloat16, make_exact
from nnunet_paseg.trainers.checkpoints.checkpointing import unwrap


class PrecisionTrainer(nnUNetTrainer):
    """nnU-Net's trainer, whose networks compute in bfloat16 where the CPU is faster with it.

    Weights, losses and optimiser stay in float32. On GPUs, nnU-Net's own float16 with loss scaling is used.
    """

    @property
    def is_bfloat16(self) -> bool:
        """Whether the networks compute in bfloat16."""
        return self.device.type == "cpu" and fast_bfloat16(self.device)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which networks compute outside of nnU-Net's own steps."""
        if self.device.type == "cuda":
            return torch.autocast("cuda")
        return torch.autocast("cpu", torch.bfloat16, enabled=self.is_bfloat16)

    def initialize(self) -> None:
        """Let nnU-Net build everything; losses see float32 whatever the precision of the network."""
        super().initialize()
        if self.is_bfloat16:
            make_exact(unwrap(self.network))
            unwrap(self.network).register_forward_hook(in_float32)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        with self.autocast():
            return super().train_step(batch)

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        with self.autocast():
            return super().validation_step(batch)

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        with self.autocast():
            super().perform_actual_validation(save_probabilities)


def in_float32(network: nn.Module, inputs: Any, output: torch.Tensor | list[torch.Tensor]) -> Any:
    """Return the output of a network, with or without deep supervision, in float32 (a forward hook)."""
    return output.float() if isinstance(output, torch.Tensor) else [part.float() for part in output]
