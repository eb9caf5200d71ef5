"""Masks and probabilities of the classes of a case, from the probabilities of its targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.problems import LIKELY


def merge_masks(
    instances: Sequence[VoxelInstance], probabilities: Sequence[npt.NDArray[np.float32]], shape: Sequence[int]
) -> npt.NDArray[np.uint8]:
    """Return the label map (z, y, x) of the voxels with p > 0.5, each with the label of its likeliest target.

    Args:
        instances: Points on the voxels of the label map.
        probabilities: Probability (z, y, x) in the box of every instance.
        shape: Shape (z, y, x) of the label map.
    """
    labels, likeliest = np.zeros(shape, dtype=np.uint8), np.full(shape, LIKELY, dtype=np.float32)
    for instance, probability in zip(instances, probabilities, strict=True):
        claimed = probability > likeliest[instance.box]
        labels[instance.box][claimed] = instance.label
        likeliest[instance.box][claimed] = probability[claimed]
    return labels


def class_probability(
    label: int,
    instances: Sequence[VoxelInstance],
    probabilities: Sequence[npt.NDArray[np.float32]],
    shape: Sequence[int],
) -> npt.NDArray[np.uint8]:
    """Return the probability (z, y, x) of one class as bytes, 255 for p = 1: that of its likeliest target.

    Args:
        label: Label of the class.
        instances: Points on the voxels of the result.
        probabilities: Probability (z, y, x) in the box of every instance.
        shape: Shape (z, y, x) of the result.
    """
    result = np.zeros(shape, dtype=np.uint8)
    for instance, probability in zip(instances, probabilities, strict=True):
        if instance.label == label:
            inside = result[instance.box]
            np.maximum(inside, np.rint(probability * 255).astype(np.uint8), out=inside)
    return result
