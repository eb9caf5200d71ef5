"""Exponential moving average of a network's weights over the training steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nnunet_paseg.errors import PasegError


class WeightAverage:
    """Average of the weights of all steps so far, in which older steps count less and less.

    In the first steps the decay is smaller, (1 + n) / (10 + n) after n steps, lest the random weights of the beginning
    stay in the average of a short training.

    Args:
        network: whose present weights the average starts from.
        decay: of the average with every step, for example 0.999.
        updates: steps that are in it already.

    Raises:
        PasegError: a decay outside (0, 1).
    """

    def __init__(self, network: nn.Module, decay: float, updates: int = 0) -> None:
        if not 0 < decay < 1:
            raise PasegError(f"ema_decay must lie between 0 and 1, or be None for no average; got {decay!r}")
        self.decay = decay
        self.updates = updates
        self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights of one step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self.weights[name].lerp_(tensor, 1 - decay)
            else:
                self.weights[name].copy_(tensor)

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        """Exchange the average and the weights of the network; a second call puts both back."""
        # All at once: nnU-Net's decoder knows its encoder, whose weights appear under two names.
        weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        network.load_state_dict(self.weights)
        self.weights = weights

    def into_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the average what the checkpoint predicts with; the trained weights are kept to continue from."""
        checkpoint["paseg"]["trained_weights"] = checkpoint["network_weights"]
        checkpoint["paseg"]["averaged_steps"] = self.updates
        checkpoint["network_weights"] = {name: tensor.cpu() for name, tensor in self.weights.items()}

    @classmethod
    def from_checkpoint(cls, extra: dict[str, Any], network: nn.Module, decay: float) -> WeightAverage:
        """The average that :meth:`into_checkpoint` stored, which nnU-Net has loaded into the network.

        Puts the trained weights into the network instead.
        """
        average = cls(network, decay, extra["averaged_steps"])
        network.load_state_dict(extra["trained_weights"])
        return average
