"""The window of the gated CRF loss: its reach follows from the extents of the targets and from the training grid.

A window as large as the target has more background than foreground in it. The loss then turns the target into
background even where the segmentation is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MAX_RADIUS = 5
"""Largest half width of the window in voxels, as in the paper: 11 x 11 voxels per slice."""

REACH = 0.1
"""Half width of the window as a fraction of the targets' extent."""

SIGMA = 1.0
"""Width of the kernel as a fraction of the half width of the window."""

SIGMA_INTENSITY = 0.3
"""Width of the kernel in units of the normalised image: neighbours on a coarse grid differ more than in the paper."""


class Window(NamedTuple):
    """The window of the gated CRF loss on the training grid.

    Attributes:
        pooling: Factors per axis by which probabilities and image are reduced.
        radius: Half widths per axis, in voxels of the reduced image.
        sigma_space: Widths of the kernel per axis, in voxels of the reduced image.
        sigma_intensity: Width of the kernel, in units of the normalised image.
    """

    pooling: tuple[int, ...]
    radius: tuple[int, ...]
    sigma_space: tuple[float, ...]
    sigma_intensity: float


def published_window(first_pooling: tuple[int, ...]) -> Window:
    """Return the window of the paper, in voxels, whatever their size.

    Args:
        first_pooling: Factors per axis of the network's first pooling.
    """
    axes = len(first_pooling)
    return Window(first_pooling, (5,) * axes, (6.0,) * axes, 0.1)


def window_of_targets(
    extents_mm: Sequence[float], spacing_mm: Sequence[float], first_pooling: tuple[int, ...]
) -> Window:
    """Return the window that reaches :data:`REACH` of the targets' extent, with at most 11 voxels per axis.

    Where that is more than 11 voxels, the image is first reduced as by the network's first pooling. Coarse voxels are
    never reduced.

    Args:
        extents_mm: Extents per axis of the smallest class, in mm.
        spacing_mm: Spacing per axis of the training grid.
        first_pooling: Factors per axis of the network's first pooling.
    """
    reach = [REACH * extent / size for extent, size in zip(extents_mm, spacing_mm, strict=True)]
    pooling = tuple(
        factor if round(voxels) > MAX_RADIUS else 1 for voxels, factor in zip(reach, first_pooling, strict=True)
    )
    reach = [voxels / factor for voxels, factor in zip(reach, pooling, strict=True)]
    radius = tuple(min(max(1, round(voxels)), MAX_RADIUS) for voxels in reach)
    return Window(pooling, radius, tuple(SIGMA * voxels for voxels in reach), SIGMA_INTENSITY)


def window_of(
    dataset_json: Mapping[str, Any],
    spacing_mm: Sequence[float],
    first_pooling: tuple[int, ...],
    transpose: Sequence[int],
) -> Window:
    """Return the window of a training: that of the targets, or the published one if their extents are not known.

    Args:
        dataset_json: Content of dataset.json, with ``target_extents_mm`` per class: medians (z, y, x).
        spacing_mm: Spacing per axis of the configuration.
        first_pooling: Factors per axis of the network's first pooling.
        transpose: Axes of the images in the order of the plans.
    """
    extents = list(dataset_json.get("target_extents_mm", {}).values())
    if not extents:
        return published_window(first_pooling)
    # The smallest class per axis. A 2D configuration leaves out the first axis of the plans.
    smallest = [min(each[axis] for each in extents) for axis in transpose]
    return window_of_targets(smallest[-len(spacing_mm) :], spacing_mm, first_pooling)
