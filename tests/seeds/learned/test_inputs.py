import numpy as np
import pytest

from nnunet_paseg.seeds.learned.inputs import CHANNELS, face_depth, gaussians, network_input, normalised
from nnunet_paseg.seeds.learned.layout import Layout

LAYOUT = Layout(16, 4)


def test_scale_and_offset_of_the_scanner_do_not_matter() -> None:
    cube = np.random.default_rng(0).random((16, 16, 16)).astype(np.float32)
    assert np.allclose(normalised(cube), normalised(cube * 700 - 1000), atol=1e-4)
    assert np.median(normalised(cube)) == pytest.approx(0, abs=1e-6)


def test_even_image_is_zero() -> None:
    assert not normalised(np.full((16, 16, 16), 7.0, dtype=np.float32)).any()


def test_few_voxels_that_differ_are_seen() -> None:
    cube = np.zeros((16, 16, 16), dtype=np.float32)
    cube[8, 8, 8] = 1e6
    assert normalised(cube)[8, 8, 8] == 2
    assert np.isfinite(normalised(cube)).all()


def test_gaussians() -> None:
    blobs = gaussians(np.array([[3, 3, 3], [3, 3, 5]]), 1.0, 8)
    assert blobs[3, 3, 3] == 1
    assert blobs[3, 3, 4] == pytest.approx(np.exp(-0.5))
    assert gaussians(np.array([[3, 3, 3], [3, 3, 5]]), 1.0, 8, total=True)[3, 3, 4] == pytest.approx(2 * np.exp(-0.5))
    assert not gaussians(np.zeros((0, 3)), 1.0, 8).any()


def test_depth_is_measured_in_voxels_of_the_image() -> None:
    depth = face_depth((8, 16, 80), ((False, False),) * 3, LAYOUT)
    # Half a voxel of the cube below the face: half a voxel of the image on the first axis, one on the second.
    assert depth[4, 8, 8] == pytest.approx(0.5 / 5)
    assert depth[8, 4, 8] == pytest.approx(1 / 5)
    assert depth[3, 8, 8] == pytest.approx(-0.5 / 5)
    assert depth[8, 8, 8] == pytest.approx(3.5 / 5)


def test_faces_at_the_border_of_the_image_are_far_away() -> None:
    depth = face_depth((8, 80, 80), ((True, False), (False, False), (False, False)), LAYOUT)
    assert depth[0, 8, 8] == 1
    assert depth[11, 8, 8] == pytest.approx(0.5 / 5)


def test_difference_from_the_foreground_point() -> None:
    cube = np.zeros((16, 16, 16), dtype=np.float32)
    cube[6:10, 6:10, 6:10] = 1
    maps = network_input(
        [cube, 1 - cube],
        foreground=np.array([[8.0, 8.0, 8.0]]),
        background=np.array([[3.5, 8.0, 8.0]]),
        edges=(8, 8, 8),
        open_faces=((False, False),) * 3,
        layout=LAYOUT,
    )
    assert maps.shape == (2, CHANNELS, 16, 16, 16)
    assert maps.dtype == np.float32
    for channel in maps:
        assert abs(channel[1, 8, 8, 8]) < abs(channel[1, 2, 2, 2])
    assert np.array_equal(maps[0, 2:], maps[1, 2:])
