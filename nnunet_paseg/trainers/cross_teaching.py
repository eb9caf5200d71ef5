"""The loss of stage 2 and its targets: the annotator's labels and the teachers' predictions."""

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
    """Predict a batch with the teachers, or take the label maps that replace them.

    Args:
        teachers: Teachers of the primary and of the auxiliary student.
        image: Images (b, c, *spatial).
        labels: Labels (b, 1 + maps, *spatial): the annotator's, then one channel per folder of label maps.
        map_folders: Folder of the label maps that replace each teacher, or None.

    Returns:
        Logits per teacher, None where a label map replaces it, and argmax labels (b, 1, *spatial) per teacher.
    """
    channels = [None, *(folder for folder in dict.fromkeys(map_folders) if folder is not None)]
    logits: list[torch.Tensor | None] = []
    predictions = []
    for teacher, folder in zip(teachers, map_folders, strict=True):
        if folder is None:
            output = teacher(image)
            logits.append(output)
            # The argmax; torch.argmax takes ten times as long along this axis on a CPU.
            predictions.append(output.max(dim=1, keepdim=True).indices.to(labels.dtype))
        else:
            channel = channels.index(folder)
            logits.append(None)
            predictions.append(labels[:, channel : channel + 1])
    return logits, predictions


def soft_targets(logits: Sequence[torch.Tensor | None], *, soft: bool) -> list[torch.Tensor | None]:
    """Return the logits that each student distils.

    Args:
        logits: Logits of both teachers; None where a label map replaces one.
        soft: True for the mean of both teachers, False for the other student's teacher alone (PA-Seg).

    Returns:
        Logits (b, classes, *spatial) for the primary and the auxiliary student; None where there is no teacher.
    """
    if not soft:
        return list(logits[::-1])
    present = [logit for logit in logits if logit is not None]
    return [torch.stack(present).mean(dim=0) if present else None] * 2


def pseudo_labels(
    prediction: torch.Tensor, targets: Targets, mask: torch.Tensor, ignore_label: int, *, keep_certain: bool
) -> Targets:
    """Return a teacher's labels for the unlabelled voxels, or for all voxels.

    Args:
        prediction: Labels (b, 1, *spatial) of the teacher.
        targets: Labels (b, 1, *spatial) of the annotator; with deep supervision a list, highest resolution first.
        mask: Bool (b, 1, *spatial), False in padding and outside the nonzero mask, where the targets are kept.
        ignore_label: Label of unlabelled voxels and of padding.
        keep_certain: True if annotator labels override pseudo labels.

    Returns:
        Labels with the shapes and the dtype of the targets.
    """
    annotated = finest(targets)
    unknown = annotated == ignore_label if keep_certain else torch.ones_like(mask)
    labels = torch.where(unknown & mask, prediction, annotated)
    if not isinstance(targets, list):
        return labels
    # As nnU-Net computes its own coarse targets; nearest-exact needs floating point.
    return [
        functional.interpolate(labels.float(), target.shape[2:], mode="nearest-exact").to(labels.dtype)
        for target in targets
    ]
