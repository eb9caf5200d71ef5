"""Input of the loss in one training step: labels, image, mask, teacher logits and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

Targets = torch.Tensor | list[torch.Tensor]
"""Labels (b, 1, *spatial); with deep supervision a list, highest resolution first."""


@dataclass(frozen=True)
class Step:
    """The target of a training batch, together with all other inputs of the loss.

    nnU-Net's ``train_step`` moves a batch's target to the device and passes it to the loss. This object takes the
    place of the target, so that ``train_step`` stays nnU-Net's own. Validation passes plain labels.

    Attributes:
        targets: Labels of the loss.
        image: Images (b, c, *spatial).
        mask: Bool (b, 1, *spatial), False in padding and outside the nonzero mask.
        weights: Hyper-parameters of the trainer, and the ramp of this epoch.
        teacher_logits: Logits (b, classes, *spatial) to distil, if any.
        terms: Value of every loss term, set by the loss.
    """

    targets: Targets
    image: torch.Tensor
    mask: torch.Tensor
    weights: Mapping[str, Any] = field(default_factory=dict)
    teacher_logits: torch.Tensor | None = None
    terms: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def labels(self) -> torch.Tensor:
        """Labels at full resolution."""
        return finest(self.targets)

    def to(self, *args: Any, **kwargs: Any) -> Step:
        """Move all tensors as ``torch.Tensor.to`` does; both objects share the dictionary of the terms."""
        targets, logits = self.targets, self.teacher_logits
        return replace(
            self,
            targets=[part.to(*args, **kwargs) for part in targets]
            if isinstance(targets, list)
            else targets.to(*args, **kwargs),
            image=self.image.to(*args, **kwargs),
            mask=self.mask.to(*args, **kwargs),
            teacher_logits=None if logits is None else logits.to(*args, **kwargs),
        )

    def values(self) -> dict[str, float]:
        """Return the loss terms as numbers, for the log."""
        return {name: float(value) for name, value in self.terms.items()}


def finest(tensors: Targets | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the full-resolution tensor of outputs or targets with or without deep supervision."""
    return tensors[0] if isinstance(tensors, list | tuple) else tensors
