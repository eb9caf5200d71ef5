"""Hyper-parameters of the training of the expansion network, without PyTorch: `--help` shows their defaults."""

from __future__ import annotations

from dataclasses import dataclass

from nnunet_paseg.errors import PasegError


@dataclass(frozen=True)
class TrainingParameters:
    """Hyper-parameters of a training.

    Attributes:
        coarse_steps: Steps on the coarse grid, which take half the time of the others.
        steps: Steps on the fine grid.
        batch_size: Targets per step.
        learning_rate: Highest learning rate of the fine grid, twice as high on the coarse one: AdamW, one-cycle.
        weight_decay: Weight decay.
        dice: Weight of the Dice loss. It falls to a half in the middle of the fine steps, because cross-entropy
            calibrates the probabilities.
        seed: Seed of weights and targets.
    """

    coarse_steps: int = 5_000
    steps: int = 8_000
    batch_size: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    dice: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.coarse_steps < 0 or self.steps < 1 or self.batch_size < 1:
            raise PasegError("A training needs at least one step and one target per step.")
