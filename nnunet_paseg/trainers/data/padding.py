"""What nnU-Net's label -1 means: padding, of which nothing is known, or air around the patient, which is background.

nnU-Net stores -1 in the preprocessed label maps where a background voxel lies outside the non-zero part of every image
channel, and adds the same -1 where a patch or an augmentation reaches beyond the image. Both become background in its
transforms. Here stored air is relabelled :data:`AIR` as it is read, and the transforms tell the two apart until the
training step. Both stay below 0 until then, for nnU-Net masks such voxels in the image where the plans say so.
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
AIR = -2


class LabelsWithAir:
    """A stored label map (c, z, y, x) whose parts are read when they are indexed, with -1 as :data:`AIR`."""

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
        part[part == PADDING] = AIR
        return part


class DatasetWithAir:
    """An nnU-Net dataset whose cases have their air relabelled; what nnU-Net's loader asks of a dataset."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.identifiers: list[str] = dataset.identifiers

    def load_case(self, identifier: str) -> tuple[Any, LabelsWithAir, Any, dict[str, Any]]:
        """Image, labels, labels of a previous stage, and properties."""
        image, labels, previous, properties = self.dataset.load_case(identifier)
        return image, LabelsWithAir(labels), previous, properties

    __getitem__ = load_case


def mark(transforms: BasicTransform, *, padding: int, air: int) -> BasicTransform:
    """Let nnU-Net's transforms turn padding and air into the given labels instead of background.

    Raises:
        RuntimeError: nnU-Net's transforms do not treat padding where they used to.
    """
    steps = transforms.transforms if isinstance(transforms, ComposeTransforms) else []
    places = [
        number
        for number, step in enumerate(steps)
        if isinstance(step, RemoveLabelTransform) and step.label_value == PADDING
    ]
    if len(places) != 1:
        raise RuntimeError("This version of nnU-Net treats padding in another way; nnunet-paseg must be adapted to it.")
    steps[places[0]].set_to = padding
    steps.insert(places[0], RemoveLabelTransform(AIR, air))
    return transforms


def padding_label(ignore_label: int) -> int:
    """Label of padding in a training batch."""
    return ignore_label + 1


def air_label(ignore_label: int) -> int:
    """Label of air in a training batch."""
    return ignore_label + 2


def unmark(target: torch.Tensor, ignore_label: int) -> torch.Tensor:
    """The target of a loss: padding is ignored, air is background."""
    return torch.where(target == air_label(ignore_label), 0, target.clamp(max=ignore_label))
