"""What a student of stage 2 learns from: the annotator's labels, and what the teachers say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from nnunet_paseg.losses import distillation_loss
from nnunet_paseg.trainers.step import Step, Targets, finest


class CrossTeachingLoss(nn.Module):
    """(1 - l) (Dice + CE) on a student's labels + l KD from the teachers' logits (PA-Seg, equation 11).

    In validation, where the target is plain labels, the loss is nnU-Net's alone. Without logits, while label maps
    replace the teachers, there is no distillation.
    """

    def __init__(self, supervised: nn.Module) -> None:
        super().__init__()
        self.supervised = supervised

    def forward(self, output: torch.Tensor | list[torch.Tensor], target: Targets | Step) -> torch.Tensor:
        """Return the weighted sum; ``output`` and ``target`` as nnU-Net passes them."""
        if not isinstance(target, Step):
            validation: torch.Tensor = self.supervised(output, target)
            return validation
        supervised: torch.Tensor = self.supervised(output, target.targets)
        target.terms["supervised"] = supervised.detach()
        if target.teacher_logits is None:
            return supervised
        weight = target.weights["distillation_weight"]
        distillation = distillation_loss(
            finest(output), target.teacher_logits, temperature=target.weights["temperature"], mask=target.mask
        )
        target.terms["distillation"] = distillation.detach()
        return (1 - weight) * supervised + weight * distillation


def teacher_predictions(
    teachers: Sequence[nn.Module], image: torch.Tensor, labels: torch.Tensor, map_folders: Sequence[str | None]
) -> tuple[list[torch.Tensor | None], list[torch.Tensor]]:
    """What the teachers say of a batch, or the label maps that stand in for them.

    Args:
        teachers: of the primary and of the auxiliary student.
        image: (b, c, *spatial).
        labels: the annotator's labels, then one channel for every folder of label maps, (b, 1 + maps, *spatial).
        map_folders: the folder of the label maps that stand in for each teacher, or None.

    Returns:
        Their logits, None where a label map stands in; and their decisions (b, 1, *spatial).
    """
    channels = [None, *(folder for folder in dict.fromkeys(map_folders) if folder is not None)]
    logits: list[torch.Tensor | None] = []
    decisions = []
    for teacher, folder in zip(teachers, map_folders, strict=True):
        if folder is None:
            said = teacher(image)
            logits.append(said)
            # The argmax; torch's own takes ten times as long along this axis on a CPU.
            decisions.append(said.max(dim=1, keepdim=True).indices.to(labels.dtype))
        else:
            channel = channels.index(folder)
            logits.append(None)
            decisions.append(labels[:, channel : channel + 1])
    return logits, decisions


def soft_targets(logits: Sequence[torch.Tensor | None], *, soft: bool) -> list[torch.Tensor | None]:
    """The logits that each student is to come near to.

    Args:
        logits: the teachers', of the primary and of the auxiliary student; None where a label map stands in for one.
        soft: from both teachers, the mean of what there is; otherwise from the other student's (PA-Seg).

    Returns:
        Of the primary and of the auxiliary student, (b, c, *spatial); None where no teacher says anything.
    """
    if not soft:
        return list(logits[::-1])
    said = [logit for logit in logits if logit is not None]
    return [torch.stack(said).mean(dim=0) if said else None] * 2


def pseudo_labels(
    decision: torch.Tensor, targets: Targets, mask: torch.Tensor, ignore_label: int, *, keep_certain: bool
) -> Targets:
    """A teacher's decision where the annotator said nothing, or everywhere.

    Args:
        decision: (b, 1, *spatial), the teacher's labels.
        targets: what the annotator said, finest first, (b, 1, *spatial).
        mask: (b, 1, *spatial), False in padding, which stays ignored, and in air, which stays background.
        ignore_label: of unlabelled voxels and of padding.
        keep_certain: the annotator's word overrides the teacher's.

    Returns:
        Labels of the targets' sizes and dtype.
    """
    annotated = finest(targets)
    unknown = annotated == ignore_label if keep_certain else torch.ones_like(mask)
    labels = torch.where(unknown & mask, decision, annotated)
    if not isinstance(targets, list):
        return labels
    # As nnU-Net makes its own coarse targets; nearest-exact needs a floating point image.
    return [
        functional.interpolate(labels.float(), target.shape[2:], mode="nearest-exact").to(labels.dtype)
        for target in targets
    ]
