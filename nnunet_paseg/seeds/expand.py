"""Expansion of points to a label map: 0 background, 1..K classes, K+1 ignore."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.rules import SeedParameters, box_seeds


class Expansion(NamedTuple):
    """The expanded points of a case.

    Attributes:
        labels: Label map (z, y, x): 0 where no target can be (outside every box, at background points and, with the
            adaptive rule, far from the foreground points), 1..K in seeds, K+1 (ignore) elsewhere.
        volumes: Estimated volume in voxels, by label of the classes that have targets; empty with the rule of the
            paper. Targets that compete for voxels keep the volume that each of them has on its own.
    """

    labels: npt.NDArray[np.uint8]
    volumes: dict[int, float]


def expand_points(
    image: npt.NDArray[np.floating],
    instances: Sequence[VoxelInstance],
    *,
    spacing_mm: Sequence[float],
    num_classes: int,
    parameters: SeedParameters | None = None,
) -> Expansion:
    """Expand the points of a case to a label map: the union of the seeds and background of all instances.

    A voxel that two classes claim gets the class with the smaller relative distance.

    Args:
        image: Intensities (c, z, y, x).
        instances: Points on the grid of the image; empty for a case without targets.
        spacing_mm: Spacing (z, y, x).
        num_classes: Number K of foreground classes.
        parameters: Parameters of the expansion; None for the defaults.

    Returns:
        The label map, and the estimated volumes.

    Raises:
        PasegError: The image is not finite inside a box.
    """
    parameters = parameters or SeedParameters()
    ignore = num_classes + 1
    labels = np.zeros(image.shape[1:], dtype=np.uint8)
    nearest = np.full(image.shape[1:], np.inf, dtype=np.float32)
    volumes: dict[int, float] = {}
    for instance in instances:
        inside = image[:, instance.box[0], instance.box[1], instance.box[2]]
        if not np.isfinite(inside).all():
            raise PasegError("The image contains NaN or infinite values inside a box of points: repair the image.")
        start = np.array([side.start for side in instance.box])
        seeds = box_seeds(
            inside,
            instance.foreground - start,
            instance.extremes - start,
            spacing_mm=spacing_mm,
            parameters=parameters,
        )
        if not math.isnan(seeds.volume):
            volumes[instance.label] = volumes.get(instance.label, 0.0) + seeds.volume
        box_labels, box_nearest = labels[instance.box], nearest[instance.box]
        # Background of this target stays background, unless it is unlabelled in another target's box.
        outside = seeds.background.copy()
        outside[tuple((instance.background - start).T)] = True
        box_labels[(box_labels == 0) & ~outside] = ignore
        claimed = seeds.foreground & ~outside & (seeds.relative < box_nearest)
        box_labels[claimed] = instance.label
        box_nearest[claimed] = seeds.relative[claimed]
    return Expansion(labels, volumes)
