"""Problems of one expanded target: probabilities that are empty, full or against the points, and missing seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnunet_paseg.points.instance import VoxelInstance

LIKELY = 0.5
"""Probability above which a voxel is part of the target's mask."""


def target_problems(
    labels: npt.NDArray[np.uint8], instance: VoxelInstance, probability: npt.NDArray[np.float32]
) -> list[str]:
    """Return what is wrong with the probabilities and the seeds of one target; nothing is corrected.

    Args:
        labels: Label map (z, y, x) of all targets.
        instance: Points on the voxels of the label map.
        probability: Probability (z, y, x) of the network in the box of the target.
    """
    start = np.array([side.start for side in instance.box])
    foreground, background = (tuple((points - start).T) for points in (instance.foreground, instance.background))
    clicked = np.zeros(probability.shape, dtype=bool)
    clicked[foreground] = clicked[background] = True
    inside, problems = labels[instance.box], []
    if not (probability > LIKELY).any():
        problems.append(f"the network finds nothing of it (p <= {LIKELY} in the whole box)")
    elif not (~clicked & (inside == instance.label)).any():
        problems.append("it has no foreground seeds but its points")
    if (probability > LIKELY).all():
        problems.append(f"the network finds no background in its box (p > {LIKELY} in the whole box)")
    elif not (~clicked & (inside == 0)).any():
        problems.append("it has no background seeds in its box")
    if (lowest := probability[foreground].min()) < LIKELY:
        problems.append(f"the network contradicts a foreground point (p = {lowest:.2f})")
    if len(instance.background) and (highest := probability[background].max()) > LIKELY:
        problems.append(f"the network contradicts a background point (p = {highest:.2f})")
    return problems
