"""Where nnU-Net looks for the benchmark's trainers: this package's, with a part left out, or with a seed.

It imports this file by its bare name, so that nothing of the benchmark can be imported here.
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
"""Attributes of the trainer, by the part of its name. A stage 2 ``fromplain`` differs in what it starts from alone."""


class LaidOut(nnUNetTrainer):
    """nnU-Net's trainer with this package's layout in memory, for the sake of the CPU's time: it learns the same."""

    def initialize(self) -> None:
        from nnunet_paseg.trainers.memory_layout import lay_out

        super().initialize()
        lay_out(self.network, self.device)


def ablated(name: str) -> Any:
    """A trainer of the package, ablated.

    Args:
        name: as of :func:`nnunet_paseg.trainers.trainer_class`, with ``_`` and a key of :data:`ABLATIONS` behind the
            trainer, and ``_seed{S}`` at the end; both may be missing. The seed is that of the networks' start and of
            the batches, as far as the training process draws them itself.

    Raises:
        AttributeError: no such trainer (nnU-Net asks with ``hasattr``).
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
