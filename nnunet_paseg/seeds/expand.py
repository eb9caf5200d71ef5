"""Expansion of points to a label map: 0 background, 1..K classes, K+1 ignore."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.points.windows import Window, bounding_window
from nnunet_paseg.seeds.learned.predict import context_window
from nnunet_paseg.seeds.problems import target_problems
from nnunet_paseg.seeds.rules import SeedParameters, target_seeds


class Expansion(NamedTuple):
    """The expanded points of a case.

    Attributes:
        labels: Label map (z, y, x): 0 where no target can be (outside every box, at background points, and where the
            rule finds background), 1..K in seeds, K+1 (ignore) elsewhere.
        volumes: Estimated volume in voxels, by label of the classes that have targets; empty with the rule of the
            paper. Targets that compete for voxels keep the volume that each of them has on its own.
        probabilities: Probability (z, y, x) in the box of every instance; empty without a network.
        problems: What is wrong with the seeds and probabilities of every instance; empty without a network.
    """

    labels: npt.NDArray[np.uint8]
    volumes: dict[int, float]
    probabilities: list[npt.NDArray[np.float32]]
    problems: list[list[str]]


def expand_points(
    image: npt.NDArray[np.floating],
    instances: Sequence[VoxelInstance],
    *,
    spacing_mm: Sequence[float],
    num_classes: int,
    parameters: SeedParameters | None = None,
) -> Expansion:
    """Expand the points of a case to a label map: the union of the seeds and background of all instances.

    A voxel that two targets claim goes to the likelier or relatively nearer one. Clicked voxels have the label of their
    points. If two classes are clicked at one voxel, it has the label of the first.

    Args:
        image: Intensities (c, z, y, x), whole or a crop to the :func:`needed_window`.
        instances: Points on the grid of the image; empty for a case without targets.
        spacing_mm: Spacing (z, y, x).
        num_classes: Number K of foreground classes.
        parameters: Parameters of the expansion; None for the defaults.

    Returns:
        The label map, and what is known of the targets.

    Raises:
        PasegError: The image is not finite near a target, or the file of the network's weights cannot be read.
    """
    parameters = parameters or SeedParameters()
    ignore = num_classes + 1
    labels = np.zeros(image.shape[1:], dtype=np.uint8)
    lowest = np.full(image.shape[1:], np.inf, dtype=np.float32)
    volumes: dict[int, float] = {}
    probabilities = []
    window = needed_window(instances, labels.shape, parameters)
    if window is not None and not np.isfinite(image[:, window[0], window[1], window[2]]).all():
        raise PasegError("The image contains NaN or infinite values near a target: repair the image.")
    for instance in instances:
        seeds = target_seeds(image, instance, spacing_mm=spacing_mm, parameters=parameters)
        if not math.isnan(seeds.volume):
            volumes[instance.label] = volumes.get(instance.label, 0.0) + seeds.volume
        if seeds.probability is not None:
            probabilities.append(seeds.probability)
        box_labels, box_lowest = labels[instance.box], lowest[instance.box]
        # Background of this target stays background, unless it is unlabelled in another target's box.
        box_labels[(box_labels == 0) & ~seeds.background] = ignore
        claimed = seeds.foreground & (seeds.relative < box_lowest)
        box_labels[claimed] = instance.label
        box_lowest[claimed] = seeds.relative[claimed]
    for instance in instances:
        labels[tuple(instance.background.T)] = 0
    for instance in reversed(instances):
        labels[tuple(instance.foreground.T)] = instance.label
    # One probability per instance, or none at all without a network.
    problems = [target_problems(labels, *each) for each in zip(instances, probabilities, strict=False)]
    return Expansion(labels, volumes, probabilities, problems)


def needed_window(
    instances: Sequence[VoxelInstance], shape: Sequence[int], parameters: SeedParameters
) -> Window | None:
    """Return the part of an image on which the seeds depend, or None without instances.

    Args:
        instances: Points on the grid of the image.
        shape: Shape (z, y, x) of the image.
        parameters: Parameters of the expansion.
    """
    if instances and parameters.rule == "learned":
        return context_window([instance.box for instance in instances], shape)
    return bounding_window(instances)
