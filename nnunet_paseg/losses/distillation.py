"""Knowledge distillation between two networks' logits (KD, the cross monitoring term of stage 2)."""

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_paseg.errors import PasegError
from nnunet_paseg.losses.checks import at_least_float32, check_mask


def distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 4.0, mask: Tensor | None = None
) -> Tensor:
    """Return the mean divergence over the voxels of the student's softened class probabilities from the teacher's.

        KD = T^2 / N * sum_i KL( softmax(teacher_i / T) || softmax(student_i / T) )

    T^2 makes the size of the gradient independent of the temperature. No gradient reaches the teacher. The loss is
    computed in float32 (float64 for a float64 student), inside autocast too.

    Args:
        student_logits: Logits (B, C, *spatial) of the student.
        teacher_logits: Logits (B, C, *spatial) of the teacher.
        temperature: Temperature T, above 0; larger values soften both distributions.
        mask: Bool (B, 1, *spatial), True for the voxels to include; None for all voxels.

    Returns:
        Scalar, at least 0; 0 with zero gradient if the mask includes no voxel.

    Raises:
        PasegError: The shapes do not match, or the temperature is not positive.

    Source:
        Zhai et al., PA-Seg, IEEE TMI 2023, the knowledge distillation loss of self and cross monitoring;
        Hinton et al., Distilling the Knowledge in a Neural Network, 2015, arXiv 1503.02531.

    Example:
        >>> import torch
        >>> logits = torch.randn(2, 3, 4, 4, 4)
        >>> float(distillation_loss(logits, logits))
        0.0
    """
    if student_logits.shape != teacher_logits.shape:
        raise PasegError(
            f"student and teacher logits must have the same shape (B, C, *spatial), "
            f"got {tuple(student_logits.shape)} and {tuple(teacher_logits.shape)}"
        )
    if student_logits.ndim < 3:
        raise PasegError(f"logits must be (B, C, *spatial), got {tuple(student_logits.shape)}")
    if not temperature > 0:
        raise PasegError(f"temperature must be above 0, got {temperature}")
    check_mask(mask, student_logits)

    with torch.autocast(student_logits.device.type, enabled=False):
        student = at_least_float32(student_logits)
        teacher = teacher_logits.detach().to(student.dtype)
        if mask is not None:
            # Before the softmax: 0 * NaN in the backward pass would otherwise return the NaN of a masked voxel.
            student = torch.where(mask, student, 0)
            teacher = torch.where(mask, teacher, 0)
        divergence = functional.kl_div(
            functional.log_softmax(student / temperature, dim=1),
            functional.log_softmax(teacher / temperature, dim=1),
            reduction="none",
            log_target=True,
        ).sum(1)
        voxels = divergence.numel() if mask is None else mask.sum().clamp(min=1)
        return temperature**2 * divergence.sum() / voxels
