"""Metrics against hand-computed values, a brute-force oracle and their symmetries."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.metrics import PRESETS, assd, dice, hd95, score, surface, surface_distances

Mask = npt.NDArray[np.bool_]
SPACING = (1.5, 0.4, 0.4)

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
SPACINGS = st.tuples(*[st.floats(0.25, 4.0)] * 3)
MASK_PAIRS = SHAPES.flatmap(lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape)))


def sphere(radius_mm: float, shape: tuple[int, int, int] = (15, 60, 60)) -> Mask:
    grid = np.indices(shape).astype(float)
    offsets = [(grid[axis] - (shape[axis] - 1) / 2) * SPACING[axis] for axis in range(3)]
    return np.asarray(sum(offset**2 for offset in offsets) <= radius_mm**2)


def brute_force_surface(mask: Mask) -> npt.NDArray[np.int_]:
    """Mask voxels with one of six neighbours outside, found voxel by voxel."""
    voxels = set(map(tuple, np.argwhere(mask)))
    steps = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    found = [v for v in voxels if any((v[0] + a, v[1] + b, v[2] + c) not in voxels for a, b, c in steps)]
    return np.array(sorted(found), dtype=int).reshape(-1, 3)


def test_dice_by_hand() -> None:
    prediction = np.zeros((1, 2, 4), dtype=bool)
    reference = prediction.copy()
    prediction[0, 0, :3] = True
    reference[0, 0, 1:] = reference[0, 1, 0] = True
    assert dice(prediction, reference) == pytest.approx(2 * 2 / (3 + 4))
    assert dice(prediction, reference, spacing_mm=SPACING) == dice(prediction, reference)


def test_two_single_voxels() -> None:
    prediction = np.zeros((4, 4, 4), dtype=bool)
    reference = prediction.copy()
    prediction[0, 0, 0] = reference[2, 3, 0] = True
    expected = math.hypot(2 * 1.5, 3 * 0.4)
    assert assd(prediction, reference, spacing_mm=SPACING) == pytest.approx(expected)
    assert hd95(prediction, reference, spacing_mm=SPACING) == pytest.approx(expected)


def test_definitions_by_hand_on_a_line() -> None:
    """One voxel against four in a row: distances {0} one way, {0, 1, 2, 3} the other."""
    prediction = np.zeros((1, 1, 4), dtype=bool)
    prediction[..., 0] = True
    reference = np.ones_like(prediction)
    ours = score(prediction, reference, spacing_mm=(1, 1, 1))
    medpy = score(prediction, reference, spacing_mm=(1, 1, 1), preset="medpy-0.4")
    assert ours.assd_mm == pytest.approx(6 / 5)
    assert medpy.assd_mm == pytest.approx((0 + 6 / 4) / 2)
    assert ours.hd95_mm == pytest.approx(2.85)  # of 0, 1, 2, 3: position 0.95 * 3
    assert medpy.hd95_mm == pytest.approx(2.8)  # of 0, 0, 1, 2, 3: position 0.95 * 4


def test_concentric_spheres() -> None:
    outer, inner = sphere(8.0), sphere(6.5)
    assert assd(inner, outer, spacing_mm=SPACING) == pytest.approx(1.384, abs=5e-4)
    assert assd(inner, outer, spacing_mm=SPACING, preset="medpy-0.4") == pytest.approx(1.378, abs=5e-4)


def test_small_false_island_hides_from_the_pooled_percentile() -> None:
    """A perfect prediction plus a few voxels 25 mm away: 5-10 % of its own surface, under 5 % of both together."""
    reference = np.zeros((8, 8, 40), dtype=bool)
    reference[1:7, 1:7, 1:7] = True
    prediction = reference.copy()
    prediction[1:4, 1:5, 31] = True
    island = 12 / surface(prediction).sum()
    assert 0.05 < island < 0.1
    assert hd95(prediction, reference, spacing_mm=(1, 1, 1)) == pytest.approx(25.0)
    assert hd95(prediction, reference, spacing_mm=(1, 1, 1), preset="medpy-0.4") == 0.0


def test_border_of_the_array_is_outside() -> None:
    assert surface(np.ones((3, 3, 3), dtype=bool)).sum() == 26


@pytest.mark.parametrize("preset", PRESETS)
def test_empty_masks(preset: str) -> None:
    empty, full = np.zeros((2, 3, 4), dtype=bool), np.ones((2, 3, 4), dtype=bool)
    for prediction, reference, overlap in [(empty, full, 0.0), (full, empty, 0.0), (empty, empty, 1.0)]:
        scores = score(prediction, reference, spacing_mm=SPACING, preset=preset)
        assert scores.dice == overlap
        assert math.isnan(scores.assd_mm)
        assert math.isnan(scores.hd95_mm)


@given(MASK_PAIRS, SPACINGS)
@settings(max_examples=150)
def test_brute_force(masks: tuple[Mask, Mask], spacing_mm: tuple[float, float, float]) -> None:
    prediction, reference = masks
    if not prediction.any() or not reference.any():
        return
    scale = np.array(spacing_mm)
    distances = cdist(brute_force_surface(prediction) * scale, brute_force_surface(reference) * scale)
    forth, back = distances.min(axis=1), distances.min(axis=0)
    to_reference, to_prediction = surface_distances(prediction, reference, spacing_mm=spacing_mm)
    np.testing.assert_allclose(to_reference, forth, atol=1e-9)
    np.testing.assert_allclose(to_prediction, back, atol=1e-9)
    ours = score(prediction, reference, spacing_mm=spacing_mm)
    medpy = score(prediction, reference, spacing_mm=spacing_mm, preset="medpy-0.4")
    assert ours.assd_mm == pytest.approx((forth.sum() + back.sum()) / (forth.size + back.size))
    assert ours.hd95_mm == pytest.approx(max(np.quantile(forth, 0.95), np.quantile(back, 0.95)))
    assert medpy.assd_mm == pytest.approx(np.mean([forth.mean(), back.mean()]))
    assert medpy.hd95_mm == pytest.approx(np.quantile([*forth, *back], 0.95))


@pytest.mark.parametrize("preset", PRESETS)
@given(masks=MASK_PAIRS, spacing_mm=SPACINGS, factor=st.floats(0.1, 10))
@settings(max_examples=60)
def test_symmetry_scaling_and_axis_order(
    preset: str, masks: tuple[Mask, Mask], spacing_mm: tuple[float, float, float], factor: float
) -> None:
    a, b = masks
    forward = score(a, b, spacing_mm=spacing_mm, preset=preset)
    backward = score(b, a, spacing_mm=spacing_mm, preset=preset)
    turned = score(a.T, b.T, spacing_mm=spacing_mm[::-1], preset=preset)
    scaled = score(a, b, spacing_mm=[factor * s for s in spacing_mm], preset=preset)
    padded = score(np.pad(a, 2), np.pad(b, 2), spacing_mm=spacing_mm, preset=preset)
    for name in ("dice", "assd_mm", "hd95_mm"):
        value = getattr(forward, name)
        for other in (backward, turned, padded):
            assert getattr(other, name) == pytest.approx(value, nan_ok=True)
        assert getattr(scaled, name) == pytest.approx(value * (1 if name == "dice" else factor), nan_ok=True)
    itself = score(a, a, spacing_mm=spacing_mm, preset=preset)
    assert itself.dice == 1
    assert itself.hd95_mm == pytest.approx(0 if a.any() else float("nan"), nan_ok=True)


def test_errors_say_what_was_got() -> None:
    mask = np.ones((2, 3, 4), dtype=bool)
    with pytest.raises(PasegError, match=r"differ in shape: \(2, 3, 4\) and \(2, 3, 3\)"):
        dice(mask, mask[..., :3])
    with pytest.raises(PasegError, match="reference is not a mask"):
        dice(mask, np.full((2, 3, 4), 2, dtype=np.uint8))
    with pytest.raises(PasegError, match=r"3 positive numbers, one per axis; got \(1.0, 0.0, 1.0\)"):
        assd(mask, mask, spacing_mm=(1.0, 0.0, 1.0))
    with pytest.raises(PasegError, match="3 positive numbers"):
        hd95(mask, mask, spacing_mm=(1.0, 1.0))
    with pytest.raises(PasegError, match=r"unknown metrics preset 'medpy': choose one of default, medpy-0\.4"):
        assd(mask, mask, spacing_mm=SPACING, preset="medpy")
