"""From an image and its points to a label map: 0 background, 1..K classes, K+1 ignore."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.rules import SeedParameters, box_seeds


def expand_points(
    image: npt.NDArray[np.floating],
    instances: Sequence[VoxelInstance],
    *,
    spacing_mm: Sequence[float],
    num_classes: int,
    parameters: SeedParameters | None = None,
) -> npt.NDArray[np.uint8]:
    """Label map of a case from its instances: the union of their seeds, boxes and certain background.

    A voxel that two classes claim goes to the one with the smaller relative distance.

    Args:
        image: (c, z, y, x) intensities.
        instances: points on this image's grid; none at all means a case without any target.
        spacing_mm: (z, y, x) voxel size.
        num_classes: K, the number of foreground classes.
        parameters: how to expand; the defaults when None.

    Returns:
        (z, y, x) label map: 0 where no target can be (outside every box, at background points and, with the adaptive
        rule, far from the foreground points), 1..K in seeds, K+1 (ignore) elsewhere.

    Raises:
        PasegError: an image that is not finite inside a box.
    """
    parameters = parameters or SeedParameters()
    ignore = num_classes + 1
    labels = np.zeros(image.shape[1:], dtype=np.uint8)
    nearest = np.full(image.shape[1:], np.inf, dtype=np.float32)
    for instance in instances:
        inside = image[:, instance.box[0], instance.box[1], instance.box[2]]
        if not np.isfinite(inside).all():
            raise PasegError("The image holds NaN or infinite values inside a box of points: repair the image.")
        start = np.array([side.start for side in instance.box])
        seeds = box_seeds(
            inside,
            instance.foreground - start,
            instance.extremes - start,
            spacing_mm=spacing_mm,
            parameters=parameters,
        )
        box_labels, box_nearest = labels[instance.box], nearest[instance.box]
        # What is outside this target stays background, unless another target's box leaves it open.
        outside = seeds.background.copy()
        outside[tuple((instance.background - start).T)] = True
        box_labels[(box_labels == 0) & ~outside] = ignore
        claimed = seeds.foreground & ~outside & (seeds.relative < box_nearest)
        box_labels[claimed] = instance.label
        box_nearest[claimed] = seeds.relative[claimed]
    return labels
