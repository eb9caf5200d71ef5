"""Probability of every voxel in the box of a target to belong to the target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.points.windows import Window
from nnunet_paseg.seeds.learned.inputs import network_input
from nnunet_paseg.seeds.learned.weights import Expander

SURROUNDINGS = 0.5
"""Margin of a context window on each side, in edge lengths of the box: more than the network's context and filter."""


def context_window(boxes: Iterable[Sequence[slice]], shape: Sequence[int]) -> Window:
    """Return the part of an image on which the probabilities in some boxes depend.

    Args:
        boxes: Slices (z, y, x) of at least one box.
        shape: Shape (z, y, x) of the image.
    """
    sides = []
    for length, of_axis in zip(shape, zip(*boxes, strict=True), strict=True):
        margins = [int(np.ceil(SURROUNDINGS * (side.stop - side.start))) + 2 for side in of_axis]
        first = min(side.start - margin for side, margin in zip(of_axis, margins, strict=True))
        last = max(side.stop + margin for side, margin in zip(of_axis, margins, strict=True))
        sides.append(slice(max(0, first), min(length, last)))
    return sides[0], sides[1], sides[2]


def target_probability(image: npt.NDArray[Any], instance: VoxelInstance, expander: Expander) -> npt.NDArray[np.float32]:
    """Return the probability of the voxels in the box of one target, not corrected by its points.

    Args:
        image: Intensities (c, z, y, x), whole or a crop to a :func:`context_window` of the target.
        instance: Points on the voxels of the image.
        expander: Trained network.

    Returns:
        Probabilities (z, y, x) of the voxels in the instance's box.

    Raises:
        PasegError: The image contains values near the target that are not finite in single precision.
    """
    box, layout = instance.box, expander.layout
    edges = [side.stop - side.start for side in box]
    shape = image.shape[1:]
    open_faces = [(side.start == 0, side.stop == length) for side, length in zip(box, shape, strict=True)]
    with np.errstate(over="ignore", invalid="ignore"):
        cubes = [layout.sample(channel, box) for channel in image]
    if not np.isfinite(cubes).all():
        raise PasegError("The image contains NaN, infinite or too large values near a target: repair the image.")
    maps = network_input(
        cubes,
        foreground=layout.to_cube(instance.foreground, box),
        background=np.concatenate(
            [
                _at_faces(layout.to_cube(instance.extremes, box), layout.context, layout.size),
                layout.to_cube(instance.background, box),
            ]
        ),
        edges=edges,
        open_faces=open_faces,
        layout=layout,
    )
    # The mean over the maps and their mirror image. On a CPU, both together take less time than one alone, for which
    # PyTorch chooses a slower convolution.
    both = np.stack([maps, maps[..., ::-1, ::-1, ::-1]])
    with torch.inference_mode():
        straight, mirrored = expander.network(torch.from_numpy(both))[:, 0].numpy()
    logits = (straight + mirrored[::-1, ::-1, ::-1]) / 2
    return np.asarray(expit(layout.restore(logits, edges)), dtype=np.float32)


def _at_faces(points: npt.NDArray[np.floating], context: int, size: int) -> npt.NDArray[np.floating]:
    """Move each point (n, 3) to its nearest face of the box."""
    low, high = context - 0.5, size - context - 0.5
    moved = points.copy()
    for point in moved:
        gaps = np.stack([point - low, high - point])
        side, axis = np.unravel_index(np.abs(gaps).argmin(), gaps.shape)
        point[axis] = (low, high)[side]
    return moved
