"""Trainers by name: ``PASegStage1Trainer_paper_50epochs_100iterations`` and the like, for any numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
    nnUNetTrainerNoMirroring,
)

from nnunet_paseg.trainers.stage1 import PASegStage1AuxTrainer, PASegStage1Trainer
from nnunet_paseg.trainers.stage2 import PASegStage2Trainer

TRAINERS: dict[str, type[nnUNetTrainer]] = {
    trainer.__name__: trainer
    for trainer in (PASegStage1Trainer, PASegStage1AuxTrainer, PASegStage2Trainer, nnUNetTrainer)
}

PAPER = {
    "mcrf_weight": 1.0,
    "mcrf_normalisation": "voxels",
    "vm_weight": 0.1,
    "vm_normalisation": "class",
    "full_strength_at": 0.0,
    "ramp_fraction": 0.1,
    "pseudo_labels": "hard",
    "keep_certain": False,
    "calibrate_volumes": False,
}
"""Hyper-parameters of the paper that differ from the defaults."""


def trainer_class(name: str) -> type[nnUNetTrainer]:
    """Return the trainer of a name.

    Args:
        name: One of :data:`TRAINERS`, then any of ``_paper`` (hyper-parameters of the paper), ``_nomirroring`` (in
            augmentation and prediction), ``_{N}epochs`` and ``_{M}iterations`` (per epoch), in this order.

    Raises:
        AttributeError: There is no such trainer (nnU-Net calls ``hasattr``).
    """
    match = re.fullmatch(rf"({'|'.join(TRAINERS)})(_paper)?(_nomirroring)?(?:_(\d+)epochs)?(?:_(\d+)iterations)?", name)
    if match is None:
        raise AttributeError(f"There is no trainer {name!r}.")
    base, (paper, unmirrored, epochs, iterations) = TRAINERS[match[1]], match.groups()[1:]
    if match[1] == name:
        return base
    if unmirrored:
        # nnU-Net's own hook precedes the trainer's.
        base = type(base.__name__, (nnUNetTrainerNoMirroring, base), {})

    def change(trainer: Any) -> None:
        if paper:
            for key, value in PAPER.items():
                if hasattr(trainer, key):
                    setattr(trainer, key, value)
        if epochs:
            trainer.num_epochs = int(epochs)
        if iterations:
            trainer.num_iterations_per_epoch = int(iterations)
            trainer.num_val_iterations_per_epoch = max(1, int(iterations) // 5)

    return changed(base, name, change)


def changed(base: type[nnUNetTrainer], name: str, change: Callable[[Any], None]) -> type[nnUNetTrainer]:
    """Return a subclass of a trainer under a new name, which nnU-Net gives to the results folder.

    Args:
        base: Class of the trainer.
        name: Name of the new class.
        change: Function that is called with every new trainer after its constructor.
    """

    class Variant(base):  # type: ignore[valid-type,misc]
        def __init__(
            self,
            plans: dict[str, Any],
            configuration: str,
            fold: int | str,
            dataset_json: dict[str, Any],
            device: torch.device = torch.device("cuda"),  # noqa: B008
        ) -> None:
            super().__init__(plans, configuration, fold, dataset_json, device)
            change(self)

    Variant.__name__ = Variant.__qualname__ = name
    return Variant
