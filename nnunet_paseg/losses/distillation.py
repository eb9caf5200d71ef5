"""Knowledge distillation between two networks' logits (KD, the cross monitoring term of stage 2)."""

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_paseg.errors import PasegError
from nnunet_paseg.losses.checks import at_least_float32, check_mask


def distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 4.0, mask: Tensor | None = None
) -> Tensor:
    """Divergence of the student's softened class probabilities from the teacher's, averaged over the voxels.

        KD = T^2 / N * sum_i KL( softmax(teacher_i / T) || softmax(student_i / T) )

    T^2 keeps the size of the gradient independent of the temperature. No gradient reaches the teacher. Computed in
    float32 (float64 where the student is), inside autocast too.

    Args:
        student_logits: Logits (B, C, *spatial) that learn.
        teacher_logits: Logits of the same shape to learn from.
        temperature: T, above 0; larger values soften both distributions.
        mask: Bool (B, 1, *spatial); only voxels that are True count. None counts every voxel.

    Returns:
        Scalar, at least 0; 0 with zero gradient where the mask leaves no voxel.

    Raises:
        PasegError: On shapes that do not match or a temperature that is not positive.

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
            f"student and teacher logits must have one shape (B, C, *spatial), "
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
            # Before the softmax, not after: 0 * NaN in the backward pass would bring a masked voxel's NaN back.
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
