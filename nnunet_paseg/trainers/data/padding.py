"""The two meanings of nnU-Net's label -1: padding, which is unlabelled, and voxels outside the nonzero mask.

nnU-Net stores -1 in the preprocessed labels of background voxels outside the nonzero mask of the image. It also adds
-1 where a patch or an augmentation extends beyond the image. Its transforms turn both into background. Here stored
voxels are relabelled as :data:`OUTSIDE` when they are read, so that the transforms distinguish the two. Both labels
are negative, since nnU-Net masks negative voxels in the image if the plans require it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.remove_label import RemoveLabelTransform

PADDING = -1
OUTSIDE = -2


class MaskedLabels:
    """A stored label map (c, z, y, x) that is read when it is indexed, with -1 as :data:`OUTSIDE`."""

    def __init__(self, labels: Any) -> None:
        self.labels = labels

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.labels.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.labels.dtype)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        part = np.array(self.labels[index])
        part[part == PADDING] = OUTSIDE
        return part


class MaskedDataset:
    """An nnU-Net dataset, as nnU-Net's loader uses it, with voxels outside the nonzero mask relabelled."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.identifiers: list[str] = dataset.identifiers

    def load_case(self, identifier: str) -> tuple[Any, MaskedLabels, Any, dict[str, Any]]:
        """Return image, labels, labels of a previous stage, and properties."""
        image, labels, previous, properties = self.dataset.load_case(identifier)
        return image, MaskedLabels(labels), previous, properties

    __getitem__ = load_case


def set_padding_labels(transforms: BasicTransform, *, padding: int, outside: int) -> BasicTransform:
    """Let nnU-Net's transforms turn padding and voxels outside the nonzero mask into the given labels.

    Raises:
        RuntimeError: nnU-Net's transforms do not contain the step that removes the padding label.
    """
    steps = transforms.transforms if isinstance(transforms, ComposeTransforms) else []
    places = [
        number
        for number, step in enumerate(steps)
        if isinstance(step, RemoveLabelTransform) and step.label_value == PADDING
    ]
    if len(places) != 1:
        raise RuntimeError("This version of nnU-Net handles padding differently: nnunet-paseg must be adapted to it.")
    steps[places[0]].set_to = padding
    steps.insert(places[0], RemoveLabelTransform(OUTSIDE, outside))
    return transforms


def padding_label(ignore_label: int) -> int:
    """Return the label of padding in a training batch."""
    return ignore_label + 1


def outside_label(ignore_label: int) -> int:
    """Return the label of voxels outside the nonzero mask in a training batch."""
    return ignore_label + 2


def resolve_padding(target: torch.Tensor, ignore_label: int) -> torch.Tensor:
    """Return the target of a loss: padding is ignored, voxels outside the nonzero mask are background."""
    return torch.where(target == outside_label(ignore_label), 0, target.clamp(max=ignore_label))
