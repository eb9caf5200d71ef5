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
    labels = np.zeros(shape, dtype=np.uint8)
    for instance, mask in zip(instances, target_masks(instances, probabilities), strict=True):
        labels[instance.box][mask] = instance.label
    return labels


def target_masks(
    instances: Sequence[VoxelInstance], probabilities: Sequence[npt.NDArray[np.float32]]
) -> list[npt.NDArray[np.bool_]]:
    """Return the voxels with p > 0.5 in the box of every target, without those for which another target is likelier.

    Memory is needed for the boxes only, wherever they are in the image. The first of equally likely targets prevails.

    Args:
        instances: Points on the voxels of an image.
        probabilities: Probability (z, y, x) in the box of every instance.
    """
    masks = [probability > LIKELY for probability in probabilities]
    for number, (instance, probability) in enumerate(zip(instances, probabilities, strict=True)):
        for later in range(number + 1, len(instances)):
            if (common := _common(instance.box, instances[later].box)) is None:
                continue
            here, there = common
            is_likelier = probabilities[later][there] > probability[here]
            masks[number][here] &= ~is_likelier
            masks[later][there] &= is_likelier
    return masks


def _common(one: Sequence[slice], other: Sequence[slice]) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
    """Return the common voxels of two boxes as slices of the one and of the other, None if there are none."""
    sides = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)]
    if any(start >= stop for start, stop in sides):
        return None
    here = tuple(slice(start - a.start, stop - a.start) for (start, stop), a in zip(sides, one, strict=True))
    there = tuple(slice(start - b.start, stop - b.start) for (start, stop), b in zip(sides, other, strict=True))
    return here, there


def expected_dice(probability: npt.NDArray[np.float32]) -> float:
    """Return the Dice of the voxels with p > 0.5 that calibrated probabilities predict, 0 if there are none.

    Args:
        probability: Probability (z, y, x) in the box of a target.
    """
    inside = probability[probability > LIKELY]
    total = float(probability.sum(dtype=np.float64)) + len(inside)
    return 2 * float(inside.sum(dtype=np.float64)) / total if total else 0.0


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
