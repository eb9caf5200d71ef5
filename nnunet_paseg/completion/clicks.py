"""Masks of targets from their probabilities and their clicks, which are never overwritten."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label as connected_components

from nnunet_paseg.completion.reliability import NEIGHBOURS, components_at
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.masks import target_masks
from nnunet_paseg.seeds.problems import LIKELY

Probability = npt.NDArray[np.float32]


def with_clicks(targets: Sequence[VoxelInstance], probabilities: Sequence[Probability]) -> list[Probability]:
    """Return the probabilities with 1 and 0 at the clicked voxels.

    A background point of one target is background for all, as in the training labels. A voxel that is clicked as
    foreground of two classes belongs to the first of them.

    Args:
        targets: Points on the voxels of an image.
        probabilities: Probability (z, y, x) in the box of every target.
    """
    result = [probability.copy() for probability in probabilities]
    for target, probability in zip(targets, result, strict=True):
        for other in targets:
            _set(probability, target, other.background, 0.0)
            if other.label != target.label:
                _set(probability, target, other.foreground, 0.0)
        _set(probability, target, target.foreground, 1.0)
    return result


def _set(probability: Probability, target: VoxelInstance, points: npt.NDArray[np.integer], value: float) -> None:
    """Set the probability at those of the points (n, 3) that are in the box of the target."""
    voxels = points - [side.start for side in target.box]
    inside = ((voxels >= 0) & (voxels < probability.shape)).all(axis=1)
    probability[tuple(voxels[inside].T)] = value


def clicked_masks(
    targets: Sequence[VoxelInstance], probabilities: Sequence[Probability]
) -> tuple[list[npt.NDArray[np.bool_]], list[list[str]]]:
    """Return the mask of every target in its box, and what is wrong with it.

    The mask are the voxels with p > 0.5, at the clicks the labels of the clicks. Of its connected components those with
    a foreground point are kept. If the probabilities are below one half at all foreground points, the largest component
    is kept too: a single clicked voxel is no mask.

    Args:
        targets: Points on the voxels of an image.
        probabilities: Probability (z, y, x) in the box of every target, without its clicks.
    """
    masks, problems = [], []
    found = target_masks(targets, with_clicks(targets, probabilities))
    for target, probability, mask in zip(targets, probabilities, found, strict=True):
        points = target.foreground - [side.start for side in target.box]
        kept = components_at(mask, points)
        kept = np.zeros_like(mask) if kept is None else kept
        wrong = []
        at_points = probability[tuple(points.T)]
        if (at_points <= LIKELY).any():
            wrong.append(f"the probabilities contradict a foreground point (p = {at_points.min():.2f})")
        if (at_points <= LIKELY).all():
            kept |= _largest(mask)
        if not (probability > LIKELY).any():
            wrong.append("the probabilities find nothing of it")
        elif (probability > LIKELY).all():
            wrong.append("the probabilities find no background in its box")
        masks.append(kept)
        problems.append(wrong)
    return masks, problems


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the largest connected component of a mask."""
    numbers, _ = connected_components(mask, structure=NEIGHBOURS)
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    return np.asarray((numbers == sizes.argmax()) & mask)
