"""From an image and its points to a label map: 0 background, 1..K classes, K+1 ignore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.geodesic import geodesic_distance
from nnunet_paseg.points import VoxelInstance


@dataclass(frozen=True)
class SeedParameters:
    """How points are expanded (PA-Seg, section III-A).

    Attributes:
        weight: of the intensity in the geodesic distance; 0 is Euclidean.
        threshold: foreground seeds lie nearer than this fraction of the largest distance in the box.
        backend: ``"torch"`` (exact) or ``"geodistk"`` (the paper's raster scans, if installed).
    """

    weight: float = 0.5
    threshold: float = 0.2
    backend: str = "torch"

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise PasegError(
                f"The seed threshold is a fraction of the largest distance, in (0, 1]: got {self.threshold}."
            )


def relative_distance(
    image: npt.NDArray[np.floating],
    foreground: npt.NDArray[np.integer],
    *,
    spacing_mm: Sequence[float],
    parameters: SeedParameters,
) -> npt.NDArray[np.float32]:
    """Geodesic distance from the foreground points, divided by its largest value.

    Args:
        image: (c, z, y, x) intensities inside one instance's box.
        foreground: (n, 3) voxel indices (z, y, x) in that box.
        spacing_mm: (z, y, x) voxel size.
        parameters: how to expand.

    Returns:
        (z, y, x) in [0, 1]; all zero where every voxel has distance 0 (a box of a single voxel).
    """
    seeds = np.zeros(image.shape[1:], dtype=bool)
    seeds[tuple(foreground.T)] = True
    distance = geodesic_distance(
        image, seeds, spacing_mm=tuple(spacing_mm), weight=parameters.weight, backend=parameters.backend
    )
    largest = float(distance.max())
    return np.asarray(distance / largest if largest > 0 else distance, dtype=np.float32)


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
        (z, y, x) label map: 0 outside every box and at background points, 1..K in seeds, K+1 (ignore) elsewhere.

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
        relative = relative_distance(inside, instance.foreground - start, spacing_mm=spacing_mm, parameters=parameters)
        box_labels, box_nearest = labels[instance.box], nearest[instance.box]
        # What was marked as outside this target stays background, unless it lies in another target's box.
        possible = np.ones(relative.shape, dtype=bool)
        possible[tuple((instance.background - start).T)] = False
        box_labels[(box_labels == 0) & possible] = ignore
        claimed = possible & (relative < parameters.threshold) & (relative < box_nearest)
        box_labels[claimed] = instance.label
        box_nearest[claimed] = relative[claimed]
    return labels
