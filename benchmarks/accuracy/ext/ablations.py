"""The benchmark's trainers: this package's, ablated or with a seed.

nnU-Net imports this file by its bare name, so it cannot import anything of the benchmark.
"""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

ABLATIONS: dict[str, dict[str, float | str | bool]] = {
    "nomcrf": {"mcrf_weight": 0.0},
    "novm": {"vm_weight": 0.0},
    "plain": {"mcrf_weight": 0.0, "vm_weight": 0.0},
    "nocalibration": {"calibrate_volumes": False},
    "self": {"pseudo_labels": "hard", "distillation_weight": 0.0},
    "distillation": {"distillation_weight": 1.0},
    "hard": {"pseudo_labels": "hard"},
    "noteachers": {"distillation_weight": 0.0},
    "fromplain": {},
}
"""Changed attributes of the trainer, by part of its name; ``fromplain`` differs only in the stage 1 it starts from."""


class LaidOut(nnUNetTrainer):
    """nnU-Net's trainer with this package's memory format, which makes it faster on a CPU and changes nothing else."""

    def initialize(self) -> None:
        """Build the network as nnU-Net does and change its memory format."""
        from nnunet_paseg.trainers.architectures import to_channels_last

        super().initialize()
        to_channels_last(self.network, self.device)


def ablated(name: str) -> Any:
    """Return a trainer class of this package or of nnU-Net, ablated or with a seed.

    Args:
        name: Name as for :func:`~nnunet_paseg.trainers.variants.trainer_class`, optionally with ``_`` and a key of
            :data:`ABLATIONS` after the trainer, and with ``_seed{S}`` at the end. The seed fixes the initial weights
            and the batches that the training process draws itself.

    Raises:
        AttributeError: There is no such trainer (nnU-Net tests that with ``hasattr``).
    """
    from nnunet_paseg.trainers.variants import changed, trainer_class

    match = re.fullmatch(rf"([A-Za-z\d]+)(?:_({'|'.join(ABLATIONS)}))?((?:_[a-z\d]+)*?)(?:_seed(\d+))?", name)
    if match is None:
        raise AttributeError(f"There is no trainer {name!r}.")
    trainer, ablation, variant, seed = match.groups()
    base: Any = trainer_class(trainer + variant)
    if trainer == nnUNetTrainer.__name__:
        base = type(base.__name__, (LaidOut, base), {})
    changes = ABLATIONS.get(ablation, {})
    if ablation is None and seed is None:
        return base

    def change(made: Any) -> None:
        for key, value in changes.items():
            if not hasattr(made, key):
                raise AttributeError(f"{name}: {trainer} has no {key}.")
            setattr(made, key, value)
        if seed is not None:
            random.seed(int(seed))
            np.random.seed(int(seed))
            torch.manual_seed(int(seed))

    return changed(base, name, change)


def __getattr__(name: str) -> Any:
    return ablated(name)
