import numpy as np
import pytest

from nnunet_paseg.seeds.learned.inputs import CHANNELS
from nnunet_paseg.seeds.learned.layout import Layout
from nnunet_paseg.seeds.learned.synthetic.appearance import random_tissue, scan
from nnunet_paseg.seeds.learned.synthetic.clicks import random_clicks, random_gaps
from nnunet_paseg.seeds.learned.synthetic.sample import (
    _beyond_border,
    _outlined,
    _single_slice,
    random_channels,
    random_sample,
)

LAYOUT = Layout(24, 4)


def test_samples_depend_on_their_seed_alone() -> None:
    a, b, c = (random_sample(np.random.default_rng(seed), LAYOUT) for seed in (0, 0, 1))
    assert np.array_equal(a.maps, b.maps)
    assert np.array_equal(a.target, b.target)
    assert not np.array_equal(a.maps, c.maps)


def test_samples_are_what_the_network_takes() -> None:
    for seed in range(25):
        sample = random_sample(np.random.default_rng(seed), LAYOUT, channels=1 + seed % 3)
        assert sample.maps.shape == (1 + seed % 3, CHANNELS, 24, 24, 24)
        assert np.isfinite(sample.maps).all()
        assert sample.maps.dtype == np.float32
        inner = sample.target[4:-4, 4:-4, 4:-4]
        assert 0.02 * inner.size <= inner.sum() < inner.size
        # The foreground points are in the target: their Gaussians peak there.
        assert sample.maps[0, 3][sample.target].max() > 0.9


def test_number_of_channels() -> None:
    counts = [random_channels(np.random.default_rng(seed)) for seed in range(200)]
    assert set(counts) == {1, 2, 3, 4}
    assert counts.count(1) > 150


def body() -> np.ndarray:
    target = np.zeros((24, 24, 24), dtype=bool)
    target[6:18, 7:17, 8:16] = True
    return target


def test_clicks_are_on_their_side() -> None:
    target, uncut = body(), np.zeros((3, 2), dtype=bool)
    for seed in range(60):
        clicks = random_clicks(np.random.default_rng(seed), target, context=4, cut=uncut)
        assert 1 <= len(clicks.foreground) <= 4
        assert len(clicks.background) <= 9
        assert target[tuple(clicks.foreground.astype(int).T)].all()
        for point in clicks.background:
            on_face = np.isin(point, (3.5, 19.5)).any()
            assert on_face or not target[tuple(np.round(point).astype(int))]


def test_single_slices_have_four_faces() -> None:
    cut = np.array([[True, True], [False, False], [False, False]])
    for seed in range(30):
        clicks = random_clicks(np.random.default_rng(seed), body(), context=4, cut=cut)
        on_faces = [point for point in clicks.background if np.isin(point[1:], (3.5, 19.5)).any()]
        assert len(on_faces) <= 4


def test_gaps_are_a_few_voxels_or_a_part_of_the_target() -> None:
    extents = np.array([200.0, 20.0, 4.0])
    gaps = np.stack([random_gaps(np.random.default_rng(seed), extents) for seed in range(400)])
    assert gaps.min() >= 0
    assert (gaps.max((0, 2)) <= (28, 5.5, 1)).all()
    # A target of 200 voxels: at most five voxels in half of the boxes, in proportion to it in the others.
    assert 0.4 < (gaps[:, 0].max(1) < 5.5).mean() < 0.75


def test_image_of_a_single_slice_is_even_along_its_axis() -> None:
    cube = np.random.default_rng(0).random((24, 24, 24)).astype(np.float32)
    assert (np.ptp(_single_slice(cube, 1), axis=1) == 0).all()


def test_border_of_the_image_is_repeated() -> None:
    cube = np.random.default_rng(0).random((24, 24, 24)).astype(np.float32)
    bordered = _beyond_border(cube, np.array([[4, 0], [0, 4], [0, 0]]))
    assert np.array_equal(bordered[:4], np.broadcast_to(bordered[4], (4, 24, 24)))
    assert np.array_equal(bordered[4:, :20], cube[4:, :20])


@pytest.mark.parametrize("edge", [4.0, 16.0, 60.0])
def test_scanner_blurs_with_its_voxels(edge: float) -> None:
    tissue = body().astype(np.float32)
    images = [scan(np.random.default_rng(seed), tissue, (edge,) * 3, LAYOUT) for seed in range(8)]
    assert all(image.shape == tissue.shape and np.isfinite(image).all() for image in images)


def test_target_shows_in_its_surroundings() -> None:
    field = np.where(body(), 1, -1).astype(np.float32)
    seen = 0
    for seed in range(20):
        tissue = random_tissue(np.random.default_rng(seed), body(), field, body())
        seen += abs(np.median(tissue[body()]) - np.median(tissue[~body()])) > 0.05
    assert seen >= 12


def test_no_surface_is_visible_where_the_tissue_goes_on() -> None:
    whole = body()
    half = whole.copy()
    half[:, :, 12:] = False
    field = np.where(whole, 1, -1).astype(np.float32)
    steps = []
    for seed in range(20):
        tissues = [random_tissue(np.random.default_rng(seed), half, field, tissue) for tissue in (whole, half)]
        # Between the two planes on both sides of the half's face.
        steps.append([abs(np.diff(tissue[7:17, 8:16, 11:13], axis=2)).mean() for tissue in tissues])
    continued, ended = np.median(steps, axis=0)
    assert continued < 0.4 * ended


@pytest.mark.parametrize("outline", [-1.0, -0.5, 0.5, 1.0])
def test_outline_lies_the_given_number_of_voxels_outside(outline: float) -> None:
    organ = np.zeros((24, 24, 24), dtype=bool)
    organ[:12] = True
    edges = [4.0, 16.0, 16.0]  # along z, a voxel of the image is four of the cube
    mask = _outlined(organ, outline, edges, LAYOUT)
    assert np.array_equal(mask, np.broadcast_to(mask[:, :1, :1], mask.shape))
    assert abs(mask[:, 0, 0].sum() - (12 + 4 * outline)) <= 0.5
