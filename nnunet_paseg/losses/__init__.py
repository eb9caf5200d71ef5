"""The losses of both stages: a pure function that holds the maths and a thin module for each."""

from nnunet_paseg.losses.distillation import DistillationLoss, distillation_loss
from nnunet_paseg.losses.gated_crf import GatedCRFLoss, gated_crf_loss
from nnunet_paseg.losses.variance import VarianceLoss, variance_loss

__all__ = [
    "DistillationLoss",
    "GatedCRFLoss",
    "VarianceLoss",
    "distillation_loss",
    "gated_crf_loss",
    "variance_loss",
]
