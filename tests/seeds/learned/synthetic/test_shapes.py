import numpy as np
import pytest
from scipy import ndimage

from nnunet_paseg.seeds.learned.synthetic.shapes import KINDS, SIZE, SMALLEST, _cut_off, _vessels, _warped, random_shape


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_bodies(kind: str) -> None:
    volumes = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        field = KINDS[kind][0](rng, _warped(rng))
        assert field.shape == (SIZE,) * 3
        assert np.isfinite(field).all()
        volumes.append((field > 0).sum())
    assert np.median(volumes) > SMALLEST


def test_shapes_are_connected_and_fill_their_box() -> None:
    for seed in range(20):
        field, body, box = random_shape(np.random.default_rng(seed))
        assert (body >= field).all()
        parts, count = ndimage.label(field > 0)
        assert count == 1
        assert ndimage.find_objects(parts)[0] == box


def test_a_ring_has_a_hole() -> None:
    holes = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        body = KINDS["ring"][0](rng, _warped(rng)) > 0
        holes += (ndimage.binary_fill_holes(body) & ~body).sum() > 20
    assert holes >= 5


def test_a_cut_leaves_a_flat_face() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        body = KINDS["ellipsoid"][0](rng, _warped(rng))
        cut = _cut_off(rng, body)
        share = (cut > 0).sum() / (body > 0).sum()
        assert 0.35 < share < 0.95
        assert not ((cut > 0) & (body <= 0)).any()
        # The removed part is separated from the rest by a plane: a linear rule tells them apart.
        kept, removed = np.argwhere(cut > 0), np.argwhere((body > 0) & (cut <= 0))
        points = np.concatenate([kept, removed]).astype(float)
        side = np.concatenate([np.ones(len(kept)), -np.ones(len(removed))])
        design = np.column_stack([points, np.ones(len(points))])
        weights = np.linalg.lstsq(design, side, rcond=None)[0]
        assert (np.sign(design @ weights) == side).mean() > 0.9


def test_vessels_begin_in_the_target_and_leave_the_cube() -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        field = KINDS["ellipsoid"][0](rng, _warped(rng))
        vessels = _vessels(rng, field) > 0
        assert (vessels & (field > 0)).any()
        inner = (slice(1, -1),) * 3
        border = vessels.copy()
        border[inner] = False
        assert border.any()
