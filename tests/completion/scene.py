"""Targets in an image of 20 x 20 x 20 voxels, and probabilities of blocks."""

import numpy as np

from nnunet_paseg.points.instance import VoxelInstance

SHAPE = (20, 20, 20)


def target(first=4, last=15, *, label=1, foreground=((10, 10, 10),), background=()):
    """A target whose box reaches from the first to the last index along every axis."""
    side = slice(first, last + 1)
    points = [np.array(each, dtype=np.int64).reshape(-1, 3) for each in (foreground, background)]
    return VoxelInstance(label, points[0], (side, side, side), points[1])


def block(first, last, *, inside=230, outside=20):
    """Probability as bytes: high in a cube, low elsewhere."""
    values = np.full(SHAPE, outside, dtype=np.uint8)
    values[first : last + 1, first : last + 1, first : last + 1] = inside
    return values
