"""What a student of stage 2 learns from: its own teacher's decisions, and the other teacher's logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from nnunet_paseg.losses import distillation_loss

if TYPE_CHECKING:
    from nnunet_paseg.trainers.stage2 import PASegStage2Trainer


class CrossTeachingLoss(nn.Module):
    """(1 - l) (Dice + CE) on a student's own pseudo labels + l KD from the other's teacher (PA-Seg, equation 11).

    ``teacher_logits`` and ``valid`` are set before every training step; without them the loss is nnU-Net's alone, as in
    validation. The latest value of every term stands in ``terms``.
    """

    def __init__(self, supervised: nn.Module, trainer: PASegStage2Trainer) -> None:
        super().__init__()
        self.supervised = supervised
        self.trainer = trainer
        self.teacher_logits: torch.Tensor | None = None
        self.valid: torch.Tensor | None = None
        self.terms: dict[str, torch.Tensor] = {}

    def forward(
        self, output: torch.Tensor | list[torch.Tensor], target: torch.Tensor | list[torch.Tensor]
    ) -> torch.Tensor:
        """The weighted sum; ``output`` and ``target`` as nnU-Net passes them."""
        supervised: torch.Tensor = self.supervised(output, target)
        if self.teacher_logits is None:
            return supervised
        finest = output[0] if isinstance(output, list | tuple) else output
        share = self.trainer.distillation_weight
        distillation = distillation_loss(
            finest, self.teacher_logits, temperature=self.trainer.temperature, mask=self.valid
        )
        self.terms = {"supervised": supervised.detach(), "distillation": distillation.detach()}
        return (1 - share) * supervised + share * distillation


def pseudo_labels(
    logits: torch.Tensor, targets: list[torch.Tensor], valid: torch.Tensor, ignore_label: int, *, keep_certain: bool
) -> list[torch.Tensor]:
    """A teacher's decision where the annotator said nothing, or everywhere.

    Args:
        logits: (b, c, *spatial) of the teacher.
        targets: what the annotator said, finest first, (b, 1, *spatial).
        valid: (b, 1, *spatial), False in padding, which stays ignored, and in air, which stays background.
        ignore_label: of unlabelled voxels and of padding.
        keep_certain: the annotator's word overrides the teacher's.

    Returns:
        Labels of the targets' sizes and dtype.
    """
    decision = logits.argmax(dim=1, keepdim=True).to(targets[0].dtype)
    unknown = targets[0] == ignore_label if keep_certain else torch.ones_like(valid)
    labels = torch.where(unknown & valid, decision, targets[0])
    # As nnU-Net makes its own coarse targets; nearest-exact needs a floating point image.
    return [
        functional.interpolate(labels.float(), target.shape[2:], mode="nearest-exact").to(labels.dtype)
        for target in targets
    ]
