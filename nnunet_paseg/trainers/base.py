"""What both stages share: an nnU-Net trainer that knows what is labelled, what is not, and what is padding."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.remove_label import RemoveLabelTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from nnunet_paseg.errors import PasegError


class PASegTrainer(nnUNetTrainer):
    """nnU-Net's trainer for label maps in which most voxels are unlabelled.

    Stock nnU-Net turns padding (-1) into background. With few labelled voxels that background would dominate the
    loss, so here padding carries a label of its own, ``ignore + 1``, until the training step: it teaches nothing and
    takes part in no loss term.
    """

    # Set by nnU-Net, which declares no types.
    network: nn.Module
    optimizer: torch.optim.Optimizer
    lr_scheduler: Any
    grad_scaler: Any
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

    def initialize(self) -> None:
        """Refuse what these trainers cannot do, then let nnU-Net build everything.

        Raises:
            PasegError: the dataset has no ignore label.
            NotImplementedError: region-based labels, or a cascade.
        """
        name = type(self).__name__
        if self.label_manager.has_regions:
            raise NotImplementedError(
                f"{name} needs plain labels, not regions: convert the dataset with one integer label a class."
            )
        if self.is_cascaded:
            raise NotImplementedError(
                f"{name} does not train cascades: use 3d_fullres, 3d_lowres or 2d instead of {self.configuration_name}."
            )
        if not self.label_manager.has_ignore_label:
            raise PasegError(
                f"{self.plans_manager.dataset_name} has no 'ignore' label, so nothing in it is unlabelled. Convert "
                "the dataset with a script of dataset_conversion/ and plan it again, or train with nnUNetTrainer."
            )
        super().initialize()

    @staticmethod
    def get_training_transforms(*args: Any, **kwargs: Any) -> BasicTransform:
        """nnU-Net's augmentation, with padding marked as ``ignore + 1`` instead of background."""
        return _mark_padding(nnUNetTrainer.get_training_transforms(*args, **kwargs), kwargs["ignore_label"] + 1)

    @staticmethod
    def get_validation_transforms(*args: Any, **kwargs: Any) -> BasicTransform:
        """nnU-Net's validation transforms, with padding ignored."""
        return _mark_padding(nnUNetTrainer.get_validation_transforms(*args, **kwargs), kwargs["ignore_label"])

    def take_padding(self, batch: dict[str, Any]) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
        """Move a batch to the device and take the padding out of its targets.

        Returns:
            The image (b, c, *spatial); the targets, finest first, with padding as ignore; and the mask (b, 1,
            *spatial) of the voxels that are no padding.
        """
        targets = batch["target"] if isinstance(batch["target"], list) else [batch["target"]]
        targets = [target.to(self.device, non_blocking=True) for target in targets]
        ignore = self.label_manager.ignore_label
        valid = targets[0] <= ignore
        return batch["data"].to(self.device, non_blocking=True), [target.clamp(max=ignore) for target in targets], valid

    def pooling_of_first_stage(self) -> tuple[int, ...]:
        """Factor by which the network's first pooling shrinks every axis: fine axes 2, coarse ones 1."""
        factors = self.configuration_manager.pool_op_kernel_sizes
        first = next((stage for stage in factors if max(stage) > 1), factors[0])
        return tuple(int(factor) for factor in first)

    def hyper_parameters(self) -> dict[str, Any]:
        """The values of :attr:`HYPER_PARAMETERS`."""
        return {name: getattr(self, name) for name in self.HYPER_PARAMETERS}

    def on_train_start(self) -> None:
        super().on_train_start()
        self.print_to_log_file(f"{type(self).__name__}:", self.hyper_parameters())

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Log the mean of every loss term of the epoch beside nnU-Net's own figures."""
        super().on_train_epoch_end(train_outputs)
        terms = {key: float(np.mean([output[key] for output in train_outputs])) for key in train_outputs[0]}
        self.print_to_log_file("Loss terms:", {key: round(value, 4) for key, value in terms.items() if key != "loss"})

    def extra_checkpoint(self) -> dict[str, Any]:
        """What a checkpoint holds beyond nnU-Net's own content."""
        return {"hyper_parameters": self.hyper_parameters()}

    def save_checkpoint(self, filename: str) -> None:
        """nnU-Net's checkpoint with ours under the key ``paseg``, in one file that is whole or not there."""
        if self.local_rank != 0 or self.disable_checkpointing:
            return
        buffer = io.BytesIO()
        super().save_checkpoint(buffer)  # type: ignore[arg-type]  # torch.save takes a file as well as a name
        buffer.seek(0)
        checkpoint = torch.load(buffer, map_location="cpu", weights_only=False)
        checkpoint["paseg"] = self.extra_checkpoint()
        temporary = f"{filename}.partial"
        torch.save(checkpoint, temporary)
        os.replace(temporary, filename)


def _mark_padding(transforms: BasicTransform, label: int) -> BasicTransform:
    assert isinstance(transforms, ComposeTransforms)
    for transform in transforms.transforms:
        if isinstance(transform, RemoveLabelTransform) and transform.label_value == -1:
            transform.set_to = label
    return transforms
