"""Stage 1: one network learns from the seeds, and from the image where there is no seed."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn
from torch.nn import functional

from nnunet_paseg.losses import gated_crf_loss, variance_loss
from nnunet_paseg.trainers.architectures import auxiliary_network
from nnunet_paseg.trainers.base import PASegTrainer
from nnunet_paseg.trainers.checks import check_channels


class SeedLoss(nn.Module):
    """nnU-Net's loss on the labelled voxels, plus mCRF and VM on the full-resolution output (PA-Seg, equation 8).

    ``image`` and ``valid`` are set before every training step; without an image the loss is nnU-Net's alone, as in
    validation. The latest value of every term stands in ``terms``.

    Attributes:
        partial: nnU-Net's Dice + cross-entropy over the labelled voxels, with or without deep supervision.
        trainer: where the weights, the ramp and the other hyper-parameters stand.
    """

    def __init__(self, partial: nn.Module, trainer: PASegStage1Trainer) -> None:
        super().__init__()
        self.partial = partial
        self.trainer = trainer
        self.image: torch.Tensor | None = None
        self.valid: torch.Tensor | None = None
        self.terms: dict[str, torch.Tensor] = {}

    def forward(
        self, output: torch.Tensor | list[torch.Tensor], target: torch.Tensor | list[torch.Tensor]
    ) -> torch.Tensor:
        """The weighted sum of the terms; ``output`` and ``target`` as nnU-Net passes them."""
        partial: torch.Tensor = self.partial(output, target)
        if self.image is None or self.valid is None:
            return partial
        trainer, image, valid = self.trainer, self.image, self.valid
        finest = output[0] if isinstance(output, list | tuple) else output
        if trainer.mcrf_channels is not None:
            image = image[:, list(trainer.mcrf_channels)]
        with torch.autocast(image.device.type, enabled=False):
            probabilities = torch.softmax(finest.float(), dim=1)
            vm = variance_loss(probabilities, image, mask=valid, normalisation=trainer.vm_normalisation)
            factors = trainer.pooling_of_first_stage()
            mcrf = gated_crf_loss(
                average_pool(probabilities, factors),
                average_pool(image, factors),
                radius=trainer.mcrf_radius,
                sigma_space=trainer.mcrf_sigma_space,
                sigma_intensity=trainer.mcrf_sigma_intensity,
                mask=average_pool(valid.float(), factors) == 1,
                normalisation=trainer.mcrf_normalisation,
            )
        strength = trainer.ramp() * self.need(target[0] if isinstance(target, list | tuple) else target, valid)
        self.terms = {"partial": partial.detach(), "mcrf": mcrf.detach(), "vm": vm.detach(), "strength": strength}
        return partial + strength * (trainer.mcrf_weight * mcrf + trainer.vm_weight * vm)

    def need(self, labels: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """How much a batch needs the unsupervised terms: 1 where its seeds are few, 0 where nothing is open.

        Args:
            labels: (b, 1, *spatial) of the finest output.
            valid: (b, 1, *spatial), False in padding and air.

        Returns:
            Unlabelled voxels for every foreground seed, as a part of ``full_strength_at``, at most 1; always 1 where
            that is 0.
        """
        if not self.trainer.full_strength_at:
            return torch.ones((), device=labels.device)
        open_voxels = valid & (labels == self.trainer.label_manager.ignore_label)
        seeds = valid & (labels > 0) & ~open_voxels
        return (open_voxels.sum() / (self.trainer.full_strength_at * seeds.sum()).clamp(min=1)).clamp(max=1)


def average_pool(tensor: torch.Tensor, factors: tuple[int, ...]) -> torch.Tensor:
    """Mean over blocks of ``factors`` voxels; (b, c, *spatial) in two or three dimensions."""
    pool = functional.avg_pool2d if len(factors) == 2 else functional.avg_pool3d
    return pool(tensor, factors, ceil_mode=True, count_include_pad=False)


class PASegStage1Trainer(PASegTrainer):
    """Partial Dice + cross-entropy on the seeds; multi-view gated CRF and variance minimisation on all tissue.

    Source: PA-Seg (Zhai et al., IEEE TMI 2023), section III-B. The defaults differ from the paper's figures where those
    did harm; ``PASegStage1Trainer_paper`` has them all.

    Attributes:
        mcrf_weight: weight of the gated CRF loss.
        mcrf_normalisation: ``pairs`` (a mean over pairs of similar voxels, in [0, 1]) or ``voxels`` (the paper's sum
            over up to 120 neighbours, whose size depends on the image and the target).
        mcrf_radius, mcrf_sigma_space: window and width of the kernel, in voxels of the downsampled image.
        mcrf_sigma_intensity: width of the kernel in units of the normalised image.
        mcrf_channels: the image channels that guide the gated CRF and the variance loss; None for all of them.
        vm_weight: weight of the variance loss.
        vm_normalisation: ``class`` (the paper's: one variance a class, as strong for a small target as for a large
            one) or ``voxels`` (the variance within the classes, by voxel).
        full_strength_at: both weights hold in full in batches with so many unlabelled voxels for every foreground seed,
            and in proportion where there are fewer: 20 is about what the paper's seeds leave open, and 3 what this
            package's leave. 0 is full weights always.
        ramp_fraction: part of the epochs over which both weights rise.
    """

    mcrf_weight = 1.0
    mcrf_normalisation: Literal["voxels", "pairs"] = "pairs"
    mcrf_radius = 5
    mcrf_sigma_space = 6.0
    mcrf_sigma_intensity = 0.1
    mcrf_channels: tuple[int, ...] | None = None
    vm_weight = 0.1
    vm_normalisation: Literal["class", "voxels"] = "class"
    full_strength_at = 20.0
    ramp_fraction = 0.5
    HYPER_PARAMETERS = (
        "mcrf_weight",
        "mcrf_normalisation",
        "mcrf_radius",
        "mcrf_sigma_space",
        "mcrf_sigma_intensity",
        "mcrf_channels",
        "vm_weight",
        "vm_normalisation",
        "full_strength_at",
        "ramp_fraction",
        "calibrate_volumes",
    )

    def initialize(self) -> None:
        """Refuse channels that the images do not have, then build everything."""
        check_channels(self.mcrf_channels, self.dataset_json["channel_names"])
        super().initialize()

    def ramp(self) -> float:
        """Weight of the unsupervised terms in this epoch: exp(-5 (1 - e/R)^2) up to R, then 1."""
        length = self.ramp_fraction * self.num_epochs
        if self.current_epoch >= length:
            return 1.0
        return math.exp(-5 * (1 - self.current_epoch / length) ** 2)

    def _build_loss(self) -> nn.Module:
        return SeedLoss(super()._build_loss(), self)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's own step, with the image within reach of the loss."""
        image, targets, valid = self.take_padding(batch)
        self.loss.image, self.loss.valid = image, valid
        try:
            result = super().train_step(
                {"data": image, "target": targets if self.enable_deep_supervision else targets[0]}
            )
        finally:
            self.loss.image = self.loss.valid = None
        return {**result, **{name: float(value) for name, value in self.loss.terms.items()}}


class PASegStage1AuxTrainer(PASegStage1Trainer):
    """Stage 1 for the auxiliary network of stage 2: the same loss, another family of architecture."""

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """A residual encoder where the plans say plain, and the reverse."""
        return auxiliary_network(
            configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
