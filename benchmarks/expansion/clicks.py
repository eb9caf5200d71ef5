"""Simulated clicks on the targets of the benchmark."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from benchmarks.expansion.target import Target
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import VoxelInstance, place_on_grid
from nnunet_paseg.points.simulate import MARGIN, simulate_points

LABELS = {"target": 1}


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
