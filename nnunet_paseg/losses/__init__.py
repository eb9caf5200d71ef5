"""The losses of both stages, as pure functions."""

from nnunet_paseg.losses.distillation import distillation_loss
from nnunet_paseg.losses.gated_crf import gated_crf_loss
from nnunet_paseg.losses.variance import variance_loss

__all__ = ["distillation_loss", "gated_crf_loss", "variance_loss"]
