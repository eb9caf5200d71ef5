"""Contours to masks, against shapes whose voxels are known exactly."""

import numpy as np
import pytest

from nnunet_paseg.conversion.sources.contours import rasterise
from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import Grid

TURNED = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
GRID = Grid(shape=(12, 64, 72), spacing_mm=(1.5, 0.4, 0.5), origin=(-20.0, 7.0, -45.0), direction=TURNED)


def circle(grid, level, centre, radius_mm, vertices=2000):
    """A circle in millimetres on a plane of constant (continuous) slice index."""
    angles = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    y = centre[0] + radius_mm * np.sin(angles) / grid.spacing_mm[1]
    x = centre[1] + radius_mm * np.cos(angles) / grid.spacing_mm[2]
    return grid.to_world(np.stack([np.full_like(y, level), y, x], axis=1))


def disc(grid, centre, radius_mm):
    """Distance of every pixel's centre from a circle's centre, in mm, minus its radius."""
    y, x = np.mgrid[: grid.shape[1], : grid.shape[2]]
    return np.hypot((y - centre[0]) * grid.spacing_mm[1], (x - centre[1]) * grid.spacing_mm[2]) - radius_mm


def test_a_circle_holds_exactly_the_voxels_within_its_radius():
    centre, radius = (30.3, 33.7), 8.0
    mask = rasterise([circle(GRID, level, centre, radius) for level in range(3, 8)], GRID)
    away = disc(GRID, centre, radius)
    assert mask.dtype == np.uint8
    for level in range(3, 8):
        assert mask[level][away < -1e-4].all()
        assert not mask[level][away > 1e-4].any()
    assert not mask[[0, 1, 2, 8, 9, 10, 11]].any()
    # Against the formula: pi r^2 h.
    assert mask.sum() * np.prod(GRID.spacing_mm) == pytest.approx(np.pi * radius**2 * 5 * 1.5, rel=0.01)


def test_inner_contours_are_holes():
    outer, inner = (circle(GRID, 5, (30, 33), radius) for radius in (8, 3))
    mask = rasterise([outer, inner], GRID)[5]
    np.testing.assert_array_equal(mask, rasterise([outer], GRID)[5] - rasterise([inner], GRID)[5])


def test_planes_between_slices_are_interpolated():
    """A cone whose contours lie half-way between slices: every slice has the mean of its neighbours' radii."""
    contours = [circle(GRID, level + 0.5, (30, 33), 4 + level) for level in range(2, 7)]
    mask = rasterise(contours, GRID)
    radii = np.sqrt(mask.sum(axis=(1, 2)) * 0.4 * 0.5 / np.pi)
    # Half a pixel is what interpolated distances between pixels can tell.
    np.testing.assert_allclose(radii[3:7], [3.5 + level for level in range(3, 7)], atol=0.2)
    assert radii[1] == 0
    assert radii[2] == pytest.approx(6, abs=0.2), "half a slice beyond the first plane"


def test_a_missing_contour_is_bridged_and_two_targets_are_not():
    levels = [1, 2, 4, 5, 9, 10]
    mask = rasterise([circle(GRID, level, (30, 33), 5) for level in levels], GRID)
    assert [bool(plane.any()) for plane in mask] == [level in levels for level in range(12)]
    dense = rasterise([circle(GRID, level, (30, 33), 5) for level in (0, 2, 4, 6)], GRID)
    assert [bool(plane.any()) for plane in dense] == [level <= 6 for level in range(12)]


def test_contours_slightly_oblique_to_the_slices_are_taken():
    tilted = circle(GRID, 5, (30, 33), 8)
    tilted[:, 2] += 0.004 * tilted[:, 0]
    np.testing.assert_array_equal(rasterise([tilted], GRID), rasterise([circle(GRID, 5, (30, 33), 8)], GRID))


def test_contours_that_cannot_be_used():
    across = circle(GRID, 5, (30, 33), 8)
    across[:, 2] += 0.5 * across[:, 0]
    with pytest.raises(PasegError, match=r"crosses 5\.\d slices"):
        rasterise([across], GRID)
    for contours in ([], [circle(GRID, 5, (30, 33), 8)[:2]], [circle(GRID, 50, (30, 33), 8)]):
        with pytest.raises(PasegError, match="check that they belong to this image"):
            rasterise(contours, GRID)
    with pytest.raises(PasegError, match="None of the 1 contours contains the centre of a voxel"):
        rasterise([circle(GRID, 5, (300, 33), 8)], GRID)
