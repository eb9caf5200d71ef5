"""What is suspicious about the points of a target that can be placed: flat or huge boxes, misplaced clicks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance, VoxelInstance

MIN_FLATNESS = 0.1
"""Smallest ratio of the shortest to the longest side of a box in mm; flatter boxes have a point on the wrong side."""
MAX_COVERAGE = 0.8
"""Largest fraction of the image that a box may cover; larger boxes leave almost no background (label 0)."""


def implausible(instance: Instance, voxels: VoxelInstance, grid: Grid) -> list[str]:
    """Return a message for each property of a target that is likely a mistake.

    Args:
        instance: Target in world coordinates.
        voxels: The same target on the grid.
        grid: Grid of the image.
    """
    sides = np.array([side.stop - side.start for side in voxels.box])
    extended = np.array(grid.shape) > 1
    sides_mm = (sides * grid.spacing_mm)[extended]
    who = f"the box of an instance of class '{instance.class_name}'"
    problems = []
    if sides_mm.min() < MIN_FLATNESS * sides_mm.max():
        size = format_mm(sides * grid.spacing_mm)
        problems.append(f"{who} is flat, {size} mm (z, y, x): is a point on the wrong side of the target?")
    covered = float(sides.prod() / np.prod(grid.shape))
    if covered > MAX_COVERAGE:
        problems.append(f"{who} covers {covered:.0%} of the image: do its points belong to this image?")
    return problems + _outermost(instance, grid)


def format_mm(lengths: Iterable[float]) -> str:
    """Format lengths with three significant digits, from micrometres to metres."""
    return " x ".join(f"{length:#.3g}".rstrip(".") for length in lengths)


def _outermost(instance: Instance, grid: Grid) -> list[str]:
    """Report a foreground point that is an outermost point of its target along every axis.

    This is possible in a corner of the image only, where tools put points that were never placed.
    """
    voxels = grid.to_voxels(np.concatenate([instance.foreground, instance.background]))
    foreground = voxels[: len(instance.foreground)]
    at_end = (foreground == voxels.min(axis=0)) | (foreground == voxels.max(axis=0))
    corners = foreground[at_end[:, np.array(grid.shape) > 1].all(axis=1)]
    if not len(corners):
        return []
    return [
        f"a foreground point of an instance of class '{instance.class_name}', voxel {corners[0].tolist()} (z, y, x), "
        "is farther out than all others along every axis: was it placed, and is it inside the target?"
    ]
