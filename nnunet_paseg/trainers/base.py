"""What both stages share: an nnU-Net trainer that knows what is labelled, and goes on where it was stopped."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch import nn

from nnunet_paseg.trainers import checks, padding, progress, resume


class PASegTrainer(nnUNetTrainer):
    """nnU-Net's trainer for label maps in which most voxels are unlabelled.

    Stock nnU-Net turns padding (-1) into background. With few labelled voxels that background would dominate the
    loss, so here padding teaches nothing and takes part in no loss term. Air around the patient, for which nnU-Net
    stores the same -1, is known background; it takes part in no term that looks at the image.

    Attributes:
        save_every: nnU-Net's own; epochs between two checkpoints to continue from.
    """

    # Set by nnU-Net, which declares no types.
    network: nn.Module
    optimizer: torch.optim.Optimizer
    lr_scheduler: Any
    grad_scaler: Any
    _best_ema: float | None
    oversample_foreground_percent: float

    HYPER_PARAMETERS: tuple[str, ...] = ()
    """Names of the attributes that are printed to the log and stored in every checkpoint."""

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 (nnU-Net reads this exact signature)
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.save_every = 5
        self._restore_random_state: Callable[[], None] | None = None

    def initialize(self) -> None:
        """Refuse what these trainers cannot do, then let nnU-Net build everything.

        Raises:
            PasegError: the dataset has no ignore label.
            NotImplementedError: region-based labels, or a cascade.
        """
        checks.check_task(self)
        super().initialize()

    @staticmethod
    def get_training_transforms(*args: Any, **kwargs: Any) -> BasicTransform:
        """nnU-Net's augmentation, with labels of their own for padding and air instead of background."""
        transforms, ignore = nnUNetTrainer.get_training_transforms(*args, **kwargs), kwargs["ignore_label"]
        if get_allowed_n_proc_DA() == 0:
            resume.fix_blur(transforms.transforms)
        return padding.mark(transforms, padding=padding.padding_label(ignore), air=padding.air_label(ignore))

    @staticmethod
    def get_validation_transforms(*args: Any, **kwargs: Any) -> BasicTransform:
        """nnU-Net's validation transforms, with padding ignored and air as background."""
        transforms = nnUNetTrainer.get_validation_transforms(*args, **kwargs)
        return padding.mark(transforms, padding=kwargs["ignore_label"], air=0)

    def get_tr_and_val_datasets(self) -> tuple[padding.DatasetWithAir, padding.DatasetWithAir]:
        """nnU-Net's datasets, whose stored -1 is air.

        Raises:
            PasegError: a class without a seed in the training cases.
        """
        training, validation = super().get_tr_and_val_datasets()
        checks.check_seeds(training, self.label_manager, self.dataset_json["labels"], self.fold)
        return padding.DatasetWithAir(training), padding.DatasetWithAir(validation)

    def take_padding(self, batch: dict[str, Any]) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
        """Move a batch to the device and take the marks of padding and air out of its targets.

        Returns:
            The image (b, c, *spatial); the targets, finest first, with padding as ignore and air as background; and
            the mask (b, 1, *spatial) of the voxels that are neither.
        """
        targets = batch["target"] if isinstance(batch["target"], list) else [batch["target"]]
        targets = [target.to(self.device, non_blocking=True) for target in targets]
        ignore = self.label_manager.ignore_label
        valid = targets[0] <= ignore
        image = batch["data"].to(self.device, non_blocking=True)
        return image, [padding.unmark(target, ignore) for target in targets], valid

    def pooling_of_first_stage(self) -> tuple[int, ...]:
        """Factor by which the network's first pooling shrinks every axis: fine axes 2, coarse ones 1."""
        factors = self.configuration_manager.pool_op_kernel_sizes
        first = next((stage for stage in factors if max(stage) > 1), factors[0])
        return tuple(int(factor) for factor in first)

    def hyper_parameters(self) -> dict[str, Any]:
        """The values of :attr:`HYPER_PARAMETERS`."""
        return {name: getattr(self, name) for name in self.HYPER_PARAMETERS}

    def on_train_start(self) -> None:
        """Check and start as nnU-Net does, then continue the random numbers of the training that was stopped."""
        super().on_train_start()
        self.print_to_log_file(f"{type(self).__name__}:", self.hyper_parameters())
        self.logger.update_config({"paseg": self.hyper_parameters()})
        if self.current_epoch == 0 and self.local_rank == 0 and not self.disable_checkpointing:
            for name in resume.put_aside(self.output_folder):
                self.print_to_log_file(f"A checkpoint of an earlier training is now called {name}.")
        # After the loaders, which draw from the same generators when they are made.
        if self._restore_random_state is not None:
            self._restore_random_state()

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Log the mean of every loss term of the epoch beside nnU-Net's own figures."""
        super().on_train_epoch_end(train_outputs)
        names = [name for name in train_outputs[0] if name != "loss"]
        terms = {name: float(np.mean([output[name] for output in train_outputs])) for name in names}
        self.print_to_log_file("Loss terms:", {name: round(value, 4) for name, value in terms.items()})
        progress.log_terms(self.logger, terms, self.current_epoch)

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        if self.local_rank == 0:
            history = self.logger.local_logger.my_fantastic_logging
            progress.plot_terms(history, Path(self.output_folder) / "paseg_progress.png")

    def extra_checkpoint(self) -> dict[str, Any]:
        """What a checkpoint holds beyond nnU-Net's own content."""
        return {"hyper_parameters": self.hyper_parameters(), "random_state": resume.random_state(self.device)}

    def load_extra_checkpoint(self, extra: dict[str, Any], file: str) -> None:
        """Take up what :meth:`extra_checkpoint` stored; ``file`` is for messages."""
        for name, value in extra.get("hyper_parameters", {}).items():
            if name in self.HYPER_PARAMETERS and getattr(self, name) != value:
                self.print_to_log_file(f"As in {file}, {name} = {value!r} instead of {getattr(self, name)!r}.")
                setattr(self, name, value)
        # With several GPUs the state is that of the first one: the others would repeat its random numbers.
        if "random_state" in extra and not self.is_ddp:
            self._restore_random_state = partial(resume.set_random_state, extra["random_state"], self.device)

    def save_checkpoint(self, filename: str) -> None:
        """nnU-Net's checkpoint with ours under the key ``paseg``, in one file that is whole or not there."""
        if self.local_rank != 0 or self.disable_checkpointing:
            return
        buffer = io.BytesIO()
        super().save_checkpoint(buffer)  # type: ignore[arg-type]  # torch.save takes a file as well as a name
        buffer.seek(0)
        checkpoint = torch.load(buffer, map_location="cpu", weights_only=False)
        checkpoint["paseg"] = self.extra_checkpoint()
        resume.write_checkpoint(checkpoint, filename)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:  # type: ignore[override]
        """nnU-Net's state and ours.

        Raises:
            PasegError: the file is damaged.
        """
        checkpoint = resume.read_checkpoint(filename_or_checkpoint)
        super().load_checkpoint(filename_or_checkpoint)
        self.load_extra_checkpoint(checkpoint.get("paseg", {}), filename_or_checkpoint)
        # nnU-Net saves checkpoint_latest before it notes that the same epoch was the best.
        scores = [score for score in self.logger.get_value("ema_fg_dice", step=None) if not math.isnan(score)]
        self._best_ema = max(scores, default=self._best_ema)
