"""The module in which nnU-Net finds the benchmark's trainers: stock ones, and this package's with ablations or a seed.

nnU-Net imports this file by its bare name, so that it cannot import other modules of the benchmark.
"""

from __future__ import annotations

import os
import random
import re
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_paseg.trainers.architectures import to_channels_last
from nnunet_paseg.trainers.checkpoints.checkpointing import CheckpointingTrainer
from nnunet_paseg.trainers.checkpoints.resume import fix_blur
from nnunet_paseg.trainers.precision import PrecisionTrainer
from nnunet_paseg.trainers.variants import changed, trainer_class

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


class BenchmarkTrainer(PrecisionTrainer, CheckpointingTrainer):
    """What all trainers of the benchmark have in common.

    A checkpoint per epoch, from which a training resumes as if it had not been stopped. bfloat16 where it is fast.
    Revision and precision are logged for the record.
    """

    def initialize(self) -> None:
        """Build everything, and write a checkpoint per epoch."""
        super().initialize()
        self.save_every = 1
        # For stock nnU-Net, which is faster on a CPU with this package's memory format, with the same results.
        to_channels_last(self.network, self.device)

    def on_train_start(self) -> None:
        """Log what the record of a run needs (see execute.SESSION)."""
        super().on_train_start()
        precision = "float16" if self.device.type == "cuda" else "bfloat16" if self.is_bfloat16 else "float32"
        self.print_to_log_file(f"Session: revision {os.environ.get('BENCHMARK_REVISION', '')}, {precision}")


class StockTrainer(BenchmarkTrainer):
    """nnU-Net's trainer, whose batches a resumed training repeats."""

    @staticmethod
    def get_training_transforms(*args: Any, **kwargs: Any) -> BasicTransform:
        """Return nnU-Net's augmentation, independent of the time that its blur takes."""
        transforms = nnUNetTrainer.get_training_transforms(*args, **kwargs)
        fix_blur(transforms.transforms)
        return transforms


def ablated(name: str) -> Any:
    """Return a trainer of the benchmark, with an ablation, a training seed or both.

    Args:
        name: Name as in :func:`nnunet_paseg.trainers.trainer_class`, with ``_`` and a key of :data:`ABLATIONS` after
            the trainer, and ``_seed{S}`` at the end; both are optional. The seed determines the initial weights and
            those batches that are drawn in the training process.

    Raises:
        AttributeError: There is no such trainer (nnU-Net calls ``hasattr``).
    """
    match = re.fullmatch(rf"([A-Za-z\d]+)(?:_({'|'.join(ABLATIONS)}))?((?:_[a-z\d]+)*?)(?:_seed(\d+))?", name)
    if match is None:
        raise AttributeError(f"There is no trainer {name!r}.")
    trainer, ablation, variant, seed = match.groups()
    base: Any = trainer_class(trainer + variant)
    mixin = StockTrainer if trainer == nnUNetTrainer.__name__ else BenchmarkTrainer
    base = type(base.__name__, (mixin, base), {})
    changes = ABLATIONS.get(ablation, {})

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
