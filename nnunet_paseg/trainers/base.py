"""The base class of both stages: unlabelled voxels, padding, volume calibration, monitoring."""

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
from nnunet_paseg.trainers.precision import PrecisionTrainer
from nnunet_paseg.trainers.prior import FOREGROUND_PRIOR, set_prior
from nnunet_paseg.trainers.ranks import gather
from nnunet_paseg.trainers.step import Step, finest
from nnunet_paseg.trainers.watch import patches, progress


class PASegTrainer(PrecisionTrainer, CheckpointingTrainer):
    """nnU-Net's trainer for label maps in which most voxels are unlabelled.

    Stock nnU-Net turns padding (-1) into background. With few labelled voxels that background would dominate the
    loss. Here padding is excluded from all loss terms. Voxels outside the nonzero mask, for which nnU-Net stores the
    same -1, are background. They are excluded from the terms that use the image.

    checkpoint_best is chosen on densely annotated validation cases that are no training cases, and not written without
    any.

    Attributes:
        calibrate_volumes: At the end of the training, change the bias of the last layer so that the classes get their
            estimated volumes (see calibration.py). No effect on datasets without estimated volumes.
        foreground_prior: Probability of all foreground classes together before the first step (see prior.py); None for
            nnU-Net's initialisation, which gives all classes about the same.
    """

    calibrate_volumes = True
    foreground_prior: float | None = FOREGROUND_PRIOR
    is_calibrated = False
    can_choose_best = False
    training_cases: list[str] | None = None
    latest_batch: tuple[torch.Tensor, torch.Tensor] | None = None  # image and labels, for the plot

    def initialize(self) -> None:
        """Check the task, then let nnU-Net build everything.

        Raises:
            PasegError: The dataset has no ignore label, or ``foreground_prior`` is no probability.
            NotImplementedError: The labels are regions, or the configuration is a cascade.
        """
        checks.check_task(self)
        super().initialize()
        if self.foreground_prior is not None:
            set_prior(unwrap(self.network), self.foreground_prior)
        if not self.is_ddp:  # DDP has recorded the memory format of the weights, and nnU-Net uses DDP on GPUs only
            to_channels_last(self.network, self.device)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        """Return nnU-Net's optimiser; without deep supervision the heads of the lower resolutions are not trained."""
        if not self.enable_deep_supervision:
            for head in unwrap(self.network).decoder.seg_layers[:-1]:  # type: ignore[union-attr, index]
                head.requires_grad_(False)  # DDP rejects parameters without a gradient
        optimiser: tuple[torch.optim.Optimizer, Any] = super().configure_optimizers()
        return optimiser

    @staticmethod
    def get_training_transforms(*args: Any, **kwargs: Any) -> BasicTransform:
        """Return nnU-Net's augmentation, with separate labels for padding and for voxels outside the nonzero mask."""
        transforms, ignore = nnUNetTrainer.get_training_transforms(*args, **kwargs), kwargs["ignore_label"]
        if get_allowed_n_proc_DA() == 0:
            resume.fix_blur(transforms.transforms)
        return padding.set_padding_labels(
            transforms, padding=padding.padding_label(ignore), outside=padding.outside_label(ignore)
        )

    @staticmethod
    def get_validation_transforms(*args: Any, **kwargs: Any) -> BasicTransform:
        """Return nnU-Net's validation transforms: padding is ignored, outside the nonzero mask is background."""
        transforms = nnUNetTrainer.get_validation_transforms(*args, **kwargs)
        return padding.set_padding_labels(transforms, padding=kwargs["ignore_label"], outside=0)

    def get_tr_and_val_datasets(self) -> tuple[padding.MaskedDataset, padding.MaskedDataset]:
        """Return nnU-Net's datasets; for validation only the densely annotated cases, if there are any.

        Raises:
            PasegError: A class has no seed in the training cases.
        """
        training, validation = super().get_tr_and_val_datasets()
        checks.check_seeds(training, self.label_manager, self.dataset_json["labels"], self.fold)
        validation_cases = selection.selection_cases(
            validation, self.label_manager.ignore_label, set(training.identifiers)
        )
        self.can_choose_best = bool(validation_cases)
        if validation_cases:
            validation.identifiers = validation_cases
            count = len(validation_cases)
            self.print_to_log_file(f"checkpoint_best is chosen on {count} densely annotated validation cases.")
        else:
            self.print_to_log_file(
                "checkpoint_best is not written: no validation case is densely annotated and not a training case."
            )
        return padding.MaskedDataset(training), padding.MaskedDataset(validation)

    def calibrate(self, network: nn.Module, name: str) -> None:
        """Calibrate a network to the estimated volumes.

        Args:
            network: Network without DDP and torch.compile wrappers.
            name: Name of the network in the log.
        """
        if not self.calibrate_volumes:
            return
        if not self.dataset_json.get("likely_volume_mm3"):
            self.print_to_log_file(f"{name} is not calibrated: the dataset has no estimated volumes.")
            return
        if self.training_cases is None:
            self.training_cases, _ = self.do_split()
        dataset = self.dataset_class(self.preprocessed_dataset_folder, self.training_cases)
        with self.autocast():
            found_bias = calibration.calibrate(network, self, dataset)
        bias = [round(value, 2) for value in found_bias]
        classes = [key for key in self.dataset_json["labels"] if key not in ("background", "ignore")]
        found = dict(zip(classes, bias, strict=False)) or "no training case has any"
        self.print_to_log_file(f"{name} is calibrated to the estimated volumes, class-wise logit bias:", found)

    def on_train_end(self) -> None:
        """Calibrate the networks, unless a finished training was continued, then end as nnU-Net does."""
        if not self.is_calibrated:
            self.calibrate_all()
            self.is_calibrated = True
        super().on_train_end()

    def calibrate_all(self) -> None:
        """Calibrate every network that can be exported from a checkpoint."""
        self.calibrate(unwrap(self.network), "The network")

    def extra_checkpoint(self) -> dict[str, Any]:
        return {**super().extra_checkpoint(), "is_calibrated": self.is_calibrated}

    def load_extra_checkpoint(self, extra: dict[str, Any], file: str) -> None:
        super().load_extra_checkpoint(extra, file)
        self.is_calibrated = extra.get("is_calibrated", False)

    def prepare_batch(self, batch: dict[str, Any]) -> Step:
        """Move a batch to the device and resolve the labels of padding and of voxels outside the nonzero mask.

        Returns:
            Step with padding as ignore label and voxels outside the nonzero mask as background in the targets. Both
            are False in the mask. The weights are the hyper-parameters.
        """
        marked = batch["target"] if isinstance(batch["target"], list) else [batch["target"]]
        marked = [part.to(self.device, non_blocking=True) for part in marked]
        ignore = self.label_manager.ignore_label
        image = batch["data"].to(self.device, non_blocking=True)
        targets = [padding.resolve_padding(part, ignore) for part in marked]
        self.latest_batch = (image, targets[0][:, :1])
        return Step(
            targets=targets if isinstance(batch["target"], list) else targets[0],
            image=image,
            mask=marked[0][:, :1] <= ignore,
            weights=self.hyper_parameters(),
        )

    def first_pooling(self) -> tuple[int, ...]:
        """Return the factor per axis of the network's first pooling: 2 along fine axes, 1 along coarse ones."""
        factors = self.configuration_manager.pool_op_kernel_sizes
        first = next((stage for stage in factors if max(stage) > 1), factors[0])
        return tuple(int(factor) for factor in first)

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Log the mean of every loss term of the epoch over all ranks, in addition to nnU-Net's own values."""
        super().on_train_epoch_end(train_outputs)
        train_outputs = gather(self, train_outputs)
        names = [name for name in train_outputs[0] if name != "loss"]
        terms = {name: float(np.mean([output[name] for output in train_outputs])) for name in names}
        self.print_to_log_file("Loss terms:", {name: round(value, 4) for name, value in terms.items()})
        progress.log_terms(self.logger, terms, self.current_epoch)

    def on_epoch_end(self) -> None:
        """End the epoch as nnU-Net does, then plot the loss terms and, ten times per training, some patches."""
        epoch = self.current_epoch
        self.is_calibrated = False  # the epoch has changed the weights
        if not self.can_choose_best:
            # No Dice exceeds this value, so that nnU-Net writes no checkpoint_best.
            self._best_ema = math.inf
        super().on_epoch_end()
        if self.local_rank == 0:
            history = self.logger.local_logger.my_fantastic_logging
            try:
                progress.plot_terms(history, Path(self.output_folder) / "paseg_progress.png")
                if epoch % max(1, round(self.num_epochs / 10)) == 0 or epoch == self.num_epochs - 1:
                    self.draw_patches(f"after epoch {epoch}")
            except Exception as error:  # whatever it is, a plot must not end a training
                self.print_to_log_file(f"Cannot plot ({type(error).__name__}: {error}): the training continues.")

    def draw_patches(self, title: str) -> None:
        """Plot the latest batch and the network's predictions into ``paseg_patches.png``."""
        if self.latest_batch is None:
            return
        image, labels = self.latest_batch
        # Not through DDP, whose forward pass waits for the other GPUs.
        network = self.network.module if isinstance(self.network, DistributedDataParallel) else self.network
        network.eval()
        with torch.no_grad(), self.autocast():
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
