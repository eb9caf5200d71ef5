"""The module in which nnU-Net finds the benchmark's trainers: ablations of this package's trainers, or with a seed.

nnU-Net imports this file by its bare name, so that it cannot import other modules of the benchmark.
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
"""Attributes of the trainer by the suffix of its name. A stage 2 ``fromplain`` differs only in its stage 1."""


class ChannelsLast(nnUNetTrainer):
    """nnU-Net's trainer with this package's memory format, which is faster on a CPU with the same results."""

    def initialize(self) -> None:
        from nnunet_paseg.trainers.architectures import to_channels_last

        super().initialize()
        to_channels_last(self.network, self.device)


def ablated(name: str) -> Any:
    """Return a trainer of the package with an ablation, a training seed or both.

    Args:
        name: Name as in :func:`nnunet_paseg.trainers.trainer_class`, with ``_`` and a key of :data:`ABLATIONS` after
            the trainer, and ``_seed{S}`` at the end; both are optional. The seed determines the initial weights and
            those batches that are drawn in the training process.

    Raises:
        AttributeError: There is no such trainer (nnU-Net calls ``hasattr``).
    """
    from nnunet_paseg.trainers.variants import changed, trainer_class

    match = re.fullmatch(rf"([A-Za-z\d]+)(?:_({'|'.join(ABLATIONS)}))?((?:_[a-z\d]+)*?)(?:_seed(\d+))?", name)
    if match is None:
        raise AttributeError(f"There is no trainer {name!r}.")
    trainer, ablation, variant, seed = match.groups()
    base: Any = trainer_class(trainer + variant)
    if trainer == nnUNetTrainer.__name__:
        base = type(base.__name__, (ChannelsLast, base), {})
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
