"""Clicks of other kinds, and changed images."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.expansion import clicks
from benchmarks.expansion.studies import averaged_slices, more_channels, single_slice
from tests.benchmarks.expansion.scene import cube_target


def in_target(target, points):
    return target.mask[tuple(points.T)]


@pytest.mark.parametrize("off", range(6))
def test_clicks_at_one_distance(off):
    target = clicks.noisy_draws(cube_target(), 3, off)
    assert [draw.box for draw in target.draws] == [(slice(9 - off, 13 + off),) * 3] * 3


def test_draws_without_a_place_are_left_out():
    thin = cube_target(low=10, high=12)  # nothing of it is between its outermost planes
    assert clicks.noisy_draws(thin, 3, 0).draws == ()
    assert len(clicks.noisy_draws(thin, 3, 1).draws) == 3


@pytest.mark.parametrize("depth", [1.0, 0.6, 0.2])
def test_the_depth_of_inner_points(depth):
    target = clicks.inner_points(cube_target(low=6, high=17, draws=4), depth)
    distance = ndimage.distance_transform_edt(target.mask, sampling=target.spacing_mm)
    distance /= distance.max()
    for draw in target.draws:
        assert len(draw.foreground) == 1
        assert distance[tuple(draw.foreground[0])] == pytest.approx(depth, abs=clicks.DEPTH_TOLERANCE)
    assert len({tuple(draw.foreground[0]) for draw in clicks.inner_points(target, 0.2).draws}) > 1


def test_further_points_and_missing_ones():
    target = cube_target()
    for before, after in zip(target.draws, clicks.several_inner_points(target, 3).draws, strict=True):
        assert len(after.foreground) == 3
        assert (after.foreground[0] == before.foreground[0]).all()
        assert in_target(target, after.foreground).all()
    for after in clicks.background_points(target, 3).draws:
        assert len(after.background) == 3
        assert not in_target(target, after.background).any()
        for axis, side in enumerate(after.box):
            assert ((after.background[:, axis] >= side.start) & (after.background[:, axis] < side.stop)).all()
    for before, after in zip(target.draws, clicks.box_only(target).draws, strict=True):
        assert (before.box, len(after.extremes)) == (after.box, 0)


def test_a_single_slice_has_four_clicks():
    target = single_slice(cube_target(draws=1))
    assert target.image.shape == (1, 1, 22, 22)
    assert target.mask.sum() == 36
    [draw] = target.draws
    assert draw.box[0] == slice(0, 1)
    assert len(draw.extremes) == 4
    assert single_slice(cube_target(low=9, high=13)).draws == ()  # 16 voxels


def test_slices_are_averaged_in_blocks():
    image = np.arange(5, dtype=np.float32)[None, :, None, None] * np.ones((1, 5, 2, 3), dtype=np.float32)
    target = replace(cube_target(), image=image)
    assert averaged_slices(target, 2).image[0, :, 0, 0].tolist() == [0.5, 0.5, 2.5, 2.5, 4.0]
    assert (averaged_slices(target, 1).image == image).all()
    assert averaged_slices(target, 3).image.dtype == np.float32


def test_second_channels():
    target = cube_target()
    twice, noisy = more_channels(target, noise=False).image, more_channels(target, noise=True).image
    assert (twice[1] == target.image[0]).all()
    assert (noisy[0] == target.image[0]).all()
    assert np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1] == pytest.approx(0, abs=0.1)
