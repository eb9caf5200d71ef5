"""What both stages share: an nnU-Net trainer that knows what is labelled, and shows what it does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from nnunet_paseg.trainers import calibration, checks
from nnunet_paseg.trainers.architectures import to_channels_last
from nnunet_paseg.trainers.checkpoints import resume, selection
from nnunet_paseg.trainers.checkpoints.checkpointing import CheckpointingTrainer, unwrap
from nnunet_paseg.trainers.data import padding
from nnunet_paseg.trainers.ranks import gather
from nnunet_paseg.trainers.step import Step, finest
from nnunet_paseg.trainers.watch import patches, progress


class PASegTrainer(CheckpointingTrainer):
    """nnU-Net's trainer for label maps in which most voxels are unlabelled.

    Stock nnU-Net turns padding (-1) into background. With few labelled voxels that background would dominate the
    loss, so here padding teaches nothing and takes part in no loss term. Air around the patient, for which nnU-Net
    stores the same -1, is known background; it takes part in no term that looks at the image.

    checkpoint_best is chosen on fully labelled validation cases, and not written where the fold has none.

    Attributes:
        calibrate_volumes: at the end of the training shift the decisions so that the classes have their likely volume
            in the training cases (see calibration.py). No effect on seeds that do not say how large their targets are.
    """

    calibrate_volumes = True
    is_calibrated = False
    can_choose_best = False
    training_cases: list[str] | None = None
    latest_batch: tuple[torch.Tensor, torch.Tensor] | None = None  # image and labels, for the picture

    def initialize(self) -> None:
        """Refuse what these trainers cannot do, then let nnU-Net build everything.

        Raises:
            PasegError: the dataset has no ignore label.
            NotImplementedError: region-based labels, or a cascade.
        """
        checks.check_task(self)
        super().initialize()
        if not self.is_ddp:  # its wrapper has noted how the weights lie, and nnU-Net has it on GPUs only
            to_channels_last(self.network, self.device)

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
        """nnU-Net's datasets, whose stored -1 is air; for validation the fully labelled cases, if there are any.

        Raises:
            PasegError: a class without a seed in the training cases.
        """
        training, validation = super().get_tr_and_val_datasets()
        checks.check_seeds(training, self.label_manager, self.dataset_json["labels"], self.fold)
        judges = selection.fully_labelled(validation, self.label_manager.ignore_label)
        self.can_choose_best = bool(judges)
        if judges:
            validation.identifiers = judges
            self.print_to_log_file(f"checkpoint_best is chosen on {len(judges)} fully labelled validation cases.")
        else:
            self.print_to_log_file("No validation case is fully labelled: there is no checkpoint_best, only the final.")
        return padding.DatasetWithAir(training), padding.DatasetWithAir(validation)

    def calibrate(self, network: nn.Module, name: str) -> None:
        """Shift the decisions of a bare network to the likely volumes; ``name`` is for the log."""
        if not self.calibrate_volumes:
            return
        if not self.dataset_json.get("likely_volume_mm3"):
            self.print_to_log_file(f"{name} is not calibrated: its seeds do not say how large their targets are.")
            return
        if self.training_cases is None:
            self.training_cases, _ = self.do_split()
        dataset = self.dataset_class(self.preprocessed_dataset_folder, self.training_cases)
        shifts = [round(shift, 2) for shift in calibration.calibrate(network, self, dataset)]
        classes = [key for key in self.dataset_json["labels"] if key not in ("background", "ignore")]
        found = dict(zip(classes, shifts, strict=False)) or "no training case has any"
        self.print_to_log_file(f"{name} is calibrated to the likely volumes, shifts of its logits:", found)

    def on_train_end(self) -> None:
        """Calibrate what predicts, unless a finished training was continued; then end as nnU-Net does."""
        if not self.is_calibrated:
            self.calibrate_all()
            self.is_calibrated = True
        super().on_train_end()

    def calibrate_all(self) -> None:
        """Calibrate every network that a checkpoint may be asked for."""
        self.calibrate(unwrap(self.network), "The network")

    def extra_checkpoint(self) -> dict[str, Any]:
        return {**super().extra_checkpoint(), "is_calibrated": self.is_calibrated}

    def load_extra_checkpoint(self, extra: dict[str, Any], file: str) -> None:
        super().load_extra_checkpoint(extra, file)
        self.is_calibrated = extra.get("is_calibrated", False)

    def prepare_batch(self, batch: dict[str, Any]) -> Step:
        """Move a batch to the device and resolve the labels of padding and of voxels outside the nonzero mask.

        Returns:
            Targets with padding as ignore and voxels outside the nonzero mask as background; the image; the mask of
            all other voxels; and the hyper-parameters as weights.
        """
        marked = batch["target"] if isinstance(batch["target"], list) else [batch["target"]]
        marked = [part.to(self.device, non_blocking=True) for part in marked]
        ignore = self.label_manager.ignore_label
        image = batch["data"].to(self.device, non_blocking=True)
        targets = [padding.unmark(part, ignore) for part in marked]
        self.latest_batch = (image, targets[0][:, :1])
        return Step(
            targets=targets if isinstance(batch["target"], list) else targets[0],
            image=image,
            mask=marked[0][:, :1] <= ignore,
            weights=self.hyper_parameters(),
        )

    def first_pooling(self) -> tuple[int, ...]:
        """Factor by which the network's first pooling shrinks every axis: fine axes 2, coarse ones 1."""
        factors = self.configuration_manager.pool_op_kernel_sizes
        first = next((stage for stage in factors if max(stage) > 1), factors[0])
        return tuple(int(factor) for factor in first)

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Log the mean of every loss term of the epoch, over all GPUs, beside nnU-Net's own figures."""
        super().on_train_epoch_end(train_outputs)
        train_outputs = gather(self, train_outputs)
        names = [name for name in train_outputs[0] if name != "loss"]
        terms = {name: float(np.mean([output[name] for output in train_outputs])) for name in names}
        self.print_to_log_file("Loss terms:", {name: round(value, 4) for name, value in terms.items()})
        progress.log_terms(self.logger, terms, self.current_epoch)

    def on_epoch_end(self) -> None:
        """Write and draw what nnU-Net does, the loss terms, and now and then a picture of some patches."""
        epoch = self.current_epoch
        self.is_calibrated = False  # the epoch has moved the decisions
        if not self.can_choose_best:
            # No Dice is better than this one, so that nnU-Net writes no checkpoint_best.
            self._best_ema = math.inf
        super().on_epoch_end()
        if self.local_rank == 0:
            history = self.logger.local_logger.my_fantastic_logging
            progress.plot_terms(history, Path(self.output_folder) / "paseg_progress.png")
            if epoch % max(1, round(self.num_epochs / 10)) == 0 or epoch == self.num_epochs - 1:
                self.draw_patches(f"after epoch {epoch}")

    def draw_patches(self, title: str) -> None:
        """Draw the latest batch and what the network says of it into ``paseg_patches.png``."""
        if self.latest_batch is None:
            return
        image, labels = self.latest_batch
        # Not through DDP, whose forward pass waits for the other GPUs.
        network = self.network.module if isinstance(self.network, DistributedDataParallel) else self.network
        network.eval()
        with torch.no_grad(), torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            output = network(image)
        patches.draw_patches(
            image.cpu().numpy(),
            labels[:, 0].cpu().numpy(),
            finest(output).float().softmax(1).cpu().numpy(),
            Path(self.output_folder) / "paseg_patches.png",
            names=self.dataset_json["labels"],
            spacing_mm=self.configuration_manager.spacing,
            title=title,
        )
