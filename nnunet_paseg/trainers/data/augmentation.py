"""The augmentation of the paper, from nnU-Net's own."""

from __future__ import annotations

from typing import Any

from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform


def flips_and_crops(transforms: Any) -> Any:
    """Reduce nnU-Net's training transforms to random flips and crops.

    All transforms that change intensities are random ones. The patch is cut from a larger one, without rotation and
    scaling.

    Args:
        transforms: nnU-Net's composed training transforms, changed in place.
    """
    transforms.transforms = [step for step in transforms.transforms if not isinstance(step, RandomTransform)]
    for step in transforms.transforms:
        if isinstance(step, SpatialTransform):
            step.p_rotation = step.p_scaling = 0
    return transforms
