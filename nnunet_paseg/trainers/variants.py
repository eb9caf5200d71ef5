"""Trainers by name, for example ``PASegStage1Trainer_paper_50epochs_100iterations``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
    nnUNetTrainerNoMirroring,
)

from nnunet_paseg.trainers.base import PASegTrainer
from nnunet_paseg.trainers.data.augmentation import flips_and_crops
from nnunet_paseg.trainers.names import PLAIN_NAMES, TrainerName, parse
from nnunet_paseg.trainers.prior import PriorTrainer
from nnunet_paseg.trainers.stage1 import PASegStage1AuxTrainer, PASegStage1Trainer
from nnunet_paseg.trainers.stage2 import PASegStage2Trainer

TRAINERS: dict[str, type[nnUNetTrainer]] = dict(
    zip(PLAIN_NAMES, (PASegStage1Trainer, PASegStage1AuxTrainer, PASegStage2Trainer, nnUNetTrainer), strict=True)
)

PAPER = {
    "mcrf_weight": 1.0,
    "mcrf_normalisation": "voxels",
    "vm_weight": 0.1,
    "vm_normalisation": "class",
    "mcrf_window": "published",
    "unsupervised_voxels": "all",
    "ramp_fraction": 0.1,
    "pseudo_labels": "hard",
    "keep_certain": False,
    "calibrate_volumes": False,
    "foreground_prior": None,
    "enable_deep_supervision": False,
}
"""Hyper-parameters of the paper that differ from the defaults."""


class FlipsAndCrops(PASegTrainer):
    """A trainer with the paper's augmentation: random flips and crops, which leave the intensities as they are."""

    @staticmethod
    def get_training_transforms(*args: Any, **kwargs: Any) -> BasicTransform:
        """Return the augmentation without its random changes of intensities, rotations and scalings."""
        return flips_and_crops(PASegTrainer.get_training_transforms(*args, **kwargs))


def trainer_class(name: str) -> type[nnUNetTrainer]:
    """Return the trainer of a name, for example ``PASegStage1Trainer_50epochs``, as :func:`parse` reads it.

    The class has the name as it was typed, since nnU-Net builds the results folder from it.

    Raises:
        AttributeError: There is no such trainer (nnU-Net calls ``hasattr``).
        PasegError: A suffix occurs twice, its number is 0, or the trainer does not have it.
    """
    meaning = parse(name)
    if meaning is None:
        raise AttributeError(f"There is no trainer {name!r}.")
    base = TRAINERS[meaning.trainer]
    if meaning == TrainerName(meaning.trainer):
        return base
    if meaning.prior:
        base = type(base.__name__, (PriorTrainer, base), {})
    if meaning.paper:
        base = type(base.__name__, (FlipsAndCrops, base), {})
    if meaning.nomirroring:
        # nnU-Net's own hook precedes the trainer's.
        base = type(base.__name__, (nnUNetTrainerNoMirroring, base), {})

    def change(trainer: Any) -> None:
        if meaning.paper:
            for key, value in PAPER.items():
                if hasattr(trainer, key):
                    setattr(trainer, key, value)
        if meaning.epochs is not None:
            trainer.num_epochs = meaning.epochs
        if meaning.iterations is not None:
            trainer.num_iterations_per_epoch = meaning.iterations
            trainer.num_val_iterations_per_epoch = max(1, meaning.iterations // 5)

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
