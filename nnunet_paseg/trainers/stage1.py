"""Stage 1: one network is trained on the seeds, and on the image in the unlabelled voxels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import torch
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn
from torch.nn import functional

from nnunet_paseg.losses import gated_crf_loss, variance_loss
from nnunet_paseg.trainers.architectures import auxiliary_network
from nnunet_paseg.trainers.base import PASegTrainer
from nnunet_paseg.trainers.checks import check_channels
from nnunet_paseg.trainers.step import Step, Targets, finest
from nnunet_paseg.trainers.window import Window, published_window, window_of


class SeedLoss(nn.Module):
    """nnU-Net's loss on the labelled voxels, plus mCRF and VM on the full-resolution output (PA-Seg, equation 8).

    In validation, where the target is plain labels, the loss is nnU-Net's alone.

    Attributes:
        partial: nnU-Net's Dice + cross-entropy over the labelled voxels, with or without deep supervision.
        ignore_label: Label of the unlabelled voxels.
    """

    def __init__(self, partial: nn.Module, ignore_label: int) -> None:
        super().__init__()
        self.partial = partial
        self.ignore_label = ignore_label

    def forward(self, output: torch.Tensor | list[torch.Tensor], target: Targets | Step) -> torch.Tensor:
        """Return the weighted sum of the terms; ``output`` and ``target`` as nnU-Net passes them."""
        if not isinstance(target, Step):
            validation: torch.Tensor = self.partial(output, target)
            return validation
        partial: torch.Tensor = self.partial(output, target.targets)
        weights, image, mask, pooling = target.weights, target.image, target.mask, target.weights["mcrf_pooling"]
        if weights["mcrf_channels"] is not None:
            image = image[:, list(weights["mcrf_channels"])]
        with torch.autocast(image.device.type, enabled=False):
            probabilities = torch.softmax(finest(output).float(), dim=1)
            if weights["unsupervised_voxels"] == "unlabelled":
                unlabelled = target.labels == self.ignore_label
                probabilities = torch.where(unlabelled, probabilities, probabilities.detach())
            vm = variance_loss(probabilities, image, mask=mask, normalisation=weights["vm_normalisation"])
            mcrf = gated_crf_loss(
                average_pool(probabilities, pooling),
                average_pool(image, pooling),
                radius=weights["mcrf_radius"],
                sigma_space=weights["mcrf_sigma_space"],
                sigma_intensity=weights["mcrf_sigma_intensity"],
                mask=average_pool(mask.float(), pooling) == 1,
                normalisation=weights["mcrf_normalisation"],
            )
        strength = weights["ramp"] * unsupervised_weight(
            target.labels, mask, ignore_label=self.ignore_label, full_strength_at=weights["full_strength_at"]
        )
        terms = {"partial": partial.detach(), "mcrf": mcrf.detach(), "vm": vm.detach(), "strength": strength}
        target.terms.update(terms)
        return partial + strength * (weights["mcrf_weight"] * mcrf + weights["vm_weight"] * vm)


def unsupervised_weight(
    labels: torch.Tensor, mask: torch.Tensor, *, ignore_label: int, full_strength_at: float
) -> torch.Tensor:
    """Return the weight of the unsupervised losses in a batch: 1 with few seeds, 0 without unlabelled voxels.

    Args:
        labels: Labels (b, 1, *spatial) of the full-resolution output.
        mask: Bool (b, 1, *spatial), False in padding and outside the nonzero mask.
        ignore_label: Label of the unlabelled voxels.
        full_strength_at: Unlabelled voxels per foreground seed at which the weight reaches 1; 0 for always 1.

    Returns:
        Scalar between 0 and 1, proportional to the unlabelled voxels per foreground seed.
    """
    if not full_strength_at:
        return torch.ones((), device=labels.device)
    unlabelled = mask & (labels == ignore_label)
    seeds = mask & (labels > 0) & ~unlabelled
    return (unlabelled.sum() / (full_strength_at * seeds.sum()).clamp(min=1)).clamp(max=1)


def average_pool(tensor: torch.Tensor, factors: tuple[int, ...]) -> torch.Tensor:
    """Return the mean over blocks of ``factors`` voxels of (b, c, *spatial) in two or three dimensions."""
    pool = functional.avg_pool2d if len(factors) == 2 else functional.avg_pool3d
    return pool(tensor, factors, ceil_mode=True, count_include_pad=False)


class PASegStage1Trainer(PASegTrainer):
    """Trainer of stage 1: partial Dice + cross-entropy on the seeds, gated CRF and variance loss on the image.

    Source: PA-Seg (Zhai et al., IEEE TMI 2023), section III-B. Some defaults differ from the paper's values, which
    ``PASegStage1Trainer_paper`` uses.

    Attributes:
        mcrf_weight: Weight of the gated CRF loss.
        mcrf_normalisation: ``pairs`` (mean over pairs of similar voxels, in [0, 1]) or ``voxels`` (the paper's sum
            over up to 120 neighbours, whose size depends on the image and the target).
        mcrf_window: Origin of the next four values where they are None: ``targets`` (relative to the extents of the
            targets and to the spacing, see window.py) or ``published``, also for datasets without extents.
        mcrf_pooling: Factors per axis by which image and probabilities are reduced for the gated CRF.
        mcrf_radius, mcrf_sigma_space: Half width of the window and width of the kernel, in voxels of the reduced image,
            one number or one per axis.
        mcrf_sigma_intensity: Width of the kernel, in units of the normalised image.
        mcrf_channels: Image channels that guide the gated CRF and the variance loss; None for all channels.
        vm_weight: Weight of the variance loss.
        vm_normalisation: ``class`` (the paper's: one variance per class, as strong for small as for large targets)
            or ``voxels`` (mean over the voxels of the variance within the classes).
        unsupervised_voxels: Voxels that get a gradient from both losses: ``unlabelled``, with the labelled ones as
            constants, or ``all`` (the paper's).
        full_strength_at: Unlabelled voxels per foreground seed in the batch from which both weights apply in full. They
            decrease in proportion below. 0 means always in full.
        ramp_fraction: Fraction of the epochs over which both weights increase.
    """

    mcrf_weight = 1.0
    mcrf_normalisation: Literal["voxels", "pairs"] = "pairs"
    mcrf_window: Literal["targets", "published"] = "targets"
    mcrf_pooling: tuple[int, ...] | None = None
    mcrf_radius: int | tuple[int, ...] | None = None
    mcrf_sigma_space: float | tuple[float, ...] | None = None
    mcrf_sigma_intensity: float | None = None
    mcrf_channels: tuple[int, ...] | None = None
    vm_weight = 0.1
    vm_normalisation: Literal["class", "voxels"] = "class"
    unsupervised_voxels: Literal["unlabelled", "all"] = "unlabelled"
    full_strength_at = 0.0
    ramp_fraction = 0.5
    HYPER_PARAMETERS = (
        "mcrf_weight",
        "mcrf_normalisation",
        "mcrf_window",
        "mcrf_pooling",
        "mcrf_radius",
        "mcrf_sigma_space",
        "mcrf_sigma_intensity",
        "mcrf_channels",
        "vm_weight",
        "vm_normalisation",
        "unsupervised_voxels",
        "full_strength_at",
        "ramp_fraction",
        "calibrate_volumes",
        "foreground_prior",
    )

    def initialize(self) -> None:
        """Check the channels, choose the window, then build everything.

        Raises:
            PasegError: The images do not have the channels in ``mcrf_channels``.
        """
        check_channels(self.mcrf_channels, self.dataset_json["channel_names"])
        window = self.window()
        for name, value in window._asdict().items():
            if getattr(self, f"mcrf_{name}") is None:
                setattr(self, f"mcrf_{name}", value)
        super().initialize()

    def window(self) -> Window:
        """Return the window of the gated CRF loss that ``mcrf_window`` selects."""
        pooling = self.first_pooling()
        if self.mcrf_window == "published":
            return published_window(pooling)
        spacing, transpose = self.configuration_manager.spacing, self.plans_manager.transpose_forward
        return window_of(self.dataset_json, spacing, pooling, transpose)

    def load_extra_checkpoint(self, extra: dict[str, Any], file: str) -> None:
        """Restore the hyper-parameters; those that earlier versions did not have get the values of that time."""
        earlier = {"mcrf_window": "published", "mcrf_pooling": self.first_pooling(), "unsupervised_voxels": "all"}
        stored = {**earlier, **extra.get("hyper_parameters", {})}
        super().load_extra_checkpoint({**extra, "hyper_parameters": stored}, file)

    def ramp(self) -> float:
        """Return the weight of the unsupervised losses in this epoch: exp(-5 (1 - e/R)^2) up to R, then 1."""
        length = self.ramp_fraction * self.num_epochs
        if self.current_epoch >= length:
            return 1.0
        return math.exp(-5 * (1 - self.current_epoch / length) ** 2)

    def _build_loss(self) -> nn.Module:
        return SeedLoss(super()._build_loss(), self.label_manager.ignore_label)

    def prepare_batch(self, batch: dict[str, Any]) -> Step:
        """Prepare the batch as in both stages, and add the ramp to the weights."""
        step = super().prepare_batch(batch)
        return replace(step, weights={**step.weights, "ramp": self.ramp()})

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Run nnU-Net's own step, with all that the loss needs in the place of the target."""
        step = self.prepare_batch(batch)
        return {**super().train_step({"data": step.image, "target": step}), **step.values()}


class PASegStage1AuxTrainer(PASegStage1Trainer):
    """Trainer of stage 1 for the auxiliary network of stage 2: the same loss, a different architecture."""

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """Build a residual encoder for plain plans, and a plain network for residual ones."""
        return auxiliary_network(
            configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
