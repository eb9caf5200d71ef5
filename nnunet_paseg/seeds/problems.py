"""Problems of one expanded target: probabilities that are empty, full or against the points, and missing seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.points.instance import VoxelInstance

LIKELY = 0.5
"""Probability above which a voxel is part of the target's mask."""


def probability_problems(instance: VoxelInstance, probability: npt.NDArray[np.float32]) -> list[str]:
    """Return what is wrong with the probabilities of one target: empty, full, or against its points.

    Args:
        instance: Points on the voxels of the image.
        probability: Probability (z, y, x) of the network in the box of the target.
    """
    foreground, background = _in_box(instance)
    problems = []
    if not (probability > LIKELY).any():
        problems.append(f"the network finds nothing of it (p <= {LIKELY} in the whole box)")
    if (probability > LIKELY).all():
        problems.append(f"the network finds no background in its box (p > {LIKELY} in the whole box)")
    if (lowest := probability[foreground].min()) < LIKELY:
        problems.append(f"the network contradicts a foreground point (p = {lowest:.2f})")
    if len(instance.background) and (highest := probability[background].max()) > LIKELY:
        problems.append(f"the network contradicts a background point (p = {highest:.2f})")
    return problems


def target_problems(
    labels: npt.NDArray[np.uint8], instance: VoxelInstance, probability: npt.NDArray[np.float32]
) -> list[str]:
    """Return what is wrong with the probabilities and the seeds of one target; nothing is corrected.

    Args:
        labels: Label map (z, y, x) of all targets.
        instance: Points on the voxels of the label map.
        probability: Probability (z, y, x) of the network in the box of the target.
    """
    problems = probability_problems(instance, probability)
    unclicked = np.ones(probability.shape, dtype=bool)
    for points in _in_box(instance):
        unclicked[points] = False
    inside = labels[instance.box]
    if (probability > LIKELY).any() and not (unclicked & (inside == instance.label)).any():
        problems.append("it has no foreground seeds but its points")
    if not (probability > LIKELY).all() and not (unclicked & (inside == 0)).any():
        problems.append("it has no background seeds in its box")
    return problems


def _in_box(instance: VoxelInstance) -> tuple[Any, Any]:
    """Return the indices of the foreground and of the background points in the box."""
    start = np.array([side.start for side in instance.box])
    return tuple((instance.foreground - start).T), tuple((instance.background - start).T)
