"""Simulated clicks on the targets of the benchmark, and clicks of other kinds."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np
from scipy import ndimage

from benchmarks.expansion.target import Target
from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import VoxelInstance, place_on_grid
from nnunet_paseg.points.simulate import MARGIN, simulate_points

LABELS = {"target": 1}

DEPTH_TOLERANCE = 0.1
"""Largest difference of an inner point's relative depth from the intended one."""


def random_generator(target: Target, draw: int) -> np.random.Generator:
    """Return the generator of one draw, which does not depend on the other targets of a run."""
    name = f"{target.dataset}/{target.kind}/{target.case}"
    return np.random.default_rng([draw, zlib.crc32(name.encode())])


def simulate_clicks(target: Target, draw: int, margin: tuple[int, int] = MARGIN) -> VoxelInstance:
    """Return the clicks of one draw on the voxels of the target's image.

    Raises:
        PasegError: The clicks cannot be placed on the grid.
    """
    shape = target.mask.shape
    grid = Grid((shape[0], shape[1], shape[2]), target.spacing_mm, (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    rng = random_generator(target, draw)
    [instance] = simulate_points(target.mask.astype(np.uint8), grid, LABELS, rng, margin=margin)
    return place_on_grid(instance, grid, LABELS)


def simulate_draws(target: Target, draws: int, margin: tuple[int, int] = MARGIN) -> Target:
    """Return the target with new clicks."""
    return replace(target, draws=tuple(simulate_clicks(target, draw, margin) for draw in range(draws)))


def noisy_draws(target: Target, draws: int, margin: int) -> Target:
    """Return the target with clicks at one distance from the faces, without draws that cannot be placed.

    At a distance of 0 the box lacks the outermost planes, and a thin target may have no voxel left in it.
    """
    placed = []
    for draw in range(draws):
        with suppress(PasegError):
            placed.append(simulate_clicks(target, draw, (margin, margin)))
    return replace(target, draws=tuple(placed))


def inner_points(target: Target, depth: float) -> Target:
    """Return the target with inner points at another depth.

    Args:
        target: Target with clicks.
        depth: Distance from the surface as a fraction of the largest one. The point is a random voxel within
            :data:`DEPTH_TOLERANCE` of it, or the voxel that is nearest to it.
    """
    distance = ndimage.distance_transform_edt(np.pad(target.mask, 1), sampling=target.spacing_mm)[1:-1, 1:-1, 1:-1]
    away = np.where(target.mask, np.abs(distance / distance.max() - depth), np.inf)
    voxels = np.argwhere(away <= max(DEPTH_TOLERANCE, float(away.min())))
    return _with_points(target, lambda clicks, rng: replace(clicks, foreground=rng.choice(voxels)[None]))


def several_inner_points(target: Target, count: int) -> Target:
    """Return the target with random voxels of it as further foreground points."""
    voxels = np.argwhere(target.mask)

    def add(clicks: VoxelInstance, rng: np.random.Generator) -> VoxelInstance:
        more = rng.choice(voxels, count - len(clicks.foreground), replace=False)
        return replace(clicks, foreground=np.concatenate([clicks.foreground, more]))

    return _with_points(target, add)


def background_points(target: Target, count: int) -> Target:
    """Return the target with background points at random voxels of its box."""

    def add(clicks: VoxelInstance, rng: np.random.Generator) -> VoxelInstance:
        start = np.array([side.start for side in clicks.box])
        voxels = start + np.argwhere(~target.mask[clicks.box])
        return replace(clicks, background=rng.choice(voxels, min(count, len(voxels)), replace=False))

    return _with_points(target, add)


def box_only(target: Target) -> Target:
    """Return the target with an inner point and a drawn box, without extreme points."""
    return _with_points(target, lambda clicks, _: replace(clicks, extremes=clicks.extremes[:0]))


def _with_points(target: Target, change: Callable[[VoxelInstance, np.random.Generator], VoxelInstance]) -> Target:
    # The generators differ from those of the draws.
    changed = [change(clicks, random_generator(target, 1000 + draw)) for draw, clicks in enumerate(target.draws)]
    return replace(target, draws=tuple(changed))
