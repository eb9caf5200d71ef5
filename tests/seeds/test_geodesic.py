"""The geodesic distance against hand-computed paths, Dijkstra's algorithm and GeodisTK at convergence."""

from __future__ import annotations

import itertools
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.geodesic import geodesic_distance

REFERENCE = Path(__file__).parent / "reference" / "geodistk.npz"
ANISOTROPIC = (3.0, 0.7, 1.2)


def dijkstra_distance(image, seeds, spacing_mm, weight):
    """The definition, step by step in float64, on an explicit graph of all 26 neighbours."""
    channels = image.astype(float) if image.ndim == 4 else image.astype(float)[None]
    shape = seeds.shape
    index = np.arange(seeds.size).reshape(shape)
    starts, ends, costs = [], [], []
    for offset in itertools.product((-1, 0, 1), repeat=3):
        if not any(offset):
            continue
        p = tuple(slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, shape, strict=True))
        q = tuple(slice(max(0, o), n - max(0, -o)) for o, n in zip(offset, shape, strict=True))
        difference = np.sqrt(((channels[(slice(None), *p)] - channels[(slice(None), *q)]) ** 2).sum(0))
        length = np.linalg.norm(np.multiply(offset, spacing_mm))
        starts.append(index[p].ravel())
        ends.append(index[q].ravel())
        costs.append((length / ((1 - weight) + weight / (difference + 1e-5))).ravel())
    graph = csr_matrix((np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends))), shape=(seeds.size,) * 2)
    return dijkstra(graph, indices=np.flatnonzero(seeds), min_only=True).reshape(shape)


def one_seed(shape, voxel):
    seeds = np.zeros(shape, bool)
    seeds[voxel] = True
    return seeds


def test_one_step_costs_its_length_over_the_mixed_speed():
    image = np.array([[[10.0, 13.0]]])
    distance = geodesic_distance(image, one_seed((1, 1, 2), (0, 0, 0)), spacing_mm=(1, 1, 2), weight=0.25)
    assert distance.dtype == np.float32
    assert distance.tolist() == [[[0.0, pytest.approx(2 / (0.75 + 0.25 / 3.00001), rel=1e-6)]]]


def test_channels_differ_by_their_euclidean_norm():
    image = np.array([[[[0.0, 3.0]]], [[[4.0, 0.0]]]])
    distance = geodesic_distance(image, one_seed((1, 1, 2), (0, 0, 0)), spacing_mm=(1, 1, 1), weight=0.5)
    assert distance[0, 0, 1] == pytest.approx(1 / (0.5 + 0.5 / 5.00001), rel=1e-6)


@pytest.mark.parametrize("offset", [o for o in itertools.product((-1, 0, 1), repeat=3) if any(o)])
def test_each_of_the_26_neighbours_is_one_step_away(offset):
    seeds = one_seed((3, 3, 3), (1, 1, 1))
    distance = geodesic_distance(np.zeros((3, 3, 3)), seeds, spacing_mm=ANISOTROPIC, weight=0.0)
    voxel = tuple(np.add(offset, 1))
    assert distance[voxel] == pytest.approx(np.linalg.norm(np.multiply(offset, ANISOTROPIC)), rel=1e-6)


def test_path_goes_round_a_wall_and_through_its_gap():
    # Columns 0 and 2 are flat, column 1 is a wall of 1000 with a gap in the last row.
    image = np.zeros((1, 4, 3))
    image[0, :3, 1] = 1000.0
    distance = geodesic_distance(image, one_seed((1, 4, 3), (0, 0, 0)), spacing_mm=(1, 1, 1), weight=1.0)
    # Four diagonal or straight steps without any difference: down two, through the gap (diagonally both ways), up two.
    steps = [1, 1, np.sqrt(2), np.sqrt(2), 1, 1]
    assert distance[0, 0, 2] == pytest.approx(sum(steps) * 1e-5, rel=1e-5)


def test_winding_corridor_takes_many_sweeps_and_is_still_exact():
    # A serpentine: 15 turns, each of which costs a plane sweep a change of direction.
    image = np.zeros((1, 31, 9))
    image[0, 1::4, :-1] = image[0, 3::4, 1:] = 1e4
    seeds = one_seed(image.shape, (0, 0, 0))
    distance = geodesic_distance(image, seeds, spacing_mm=(1, 1, 1), weight=0.9)
    np.testing.assert_allclose(distance, dijkstra_distance(image, seeds, (1, 1, 1), 0.9), rtol=1e-4)


@settings(max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    channels=st.integers(0, 3),
    weight=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    spacing_mm=st.tuples(*[st.floats(0.3, 6.0)] * 3),
    data=st.data(),
)
def test_equals_dijkstra(shape, channels, weight, spacing_mm, data):
    full = (channels, *shape) if channels else shape
    image = data.draw(arrays(np.float32, full, elements=st.integers(-1000, 3000).map(float), fill=st.nothing()))
    seeds = data.draw(arrays(bool, shape))
    seeds[tuple(n // 2 for n in shape)] = True
    distance = geodesic_distance(image, seeds, spacing_mm=spacing_mm, weight=weight)
    np.testing.assert_allclose(distance, dijkstra_distance(image, seeds, spacing_mm, weight), rtol=1e-4)


@pytest.mark.parametrize("channels", [0, 2])
@pytest.mark.parametrize("shape", [(16, 21, 18), (1, 40, 33), (24, 1, 19), (23, 30, 1)])
def test_equals_dijkstra_on_larger_volumes(shape, channels):
    rng = np.random.default_rng(1)
    image = rng.normal(0, 150, (channels, *shape) if channels else shape)
    seeds = one_seed(shape, tuple(n // 3 for n in shape))
    distance = geodesic_distance(image, seeds, spacing_mm=ANISOTROPIC)
    np.testing.assert_allclose(distance, dijkstra_distance(image, seeds, ANISOTROPIC, 0.5), rtol=1e-4)


@pytest.mark.parametrize("case", ["one_channel", "weight_1", "three_channels"])
def test_equals_geodistk_at_convergence(case):
    with np.load(REFERENCE) as stored:
        image, seeds, expected = (stored[f"{case}.{key}"] for key in ("image", "seeds", "distance"))
        weight, spacing_mm = float(stored[f"{case}.weight"]), tuple(stored["spacing_mm"])
    distance = geodesic_distance(image, seeds, spacing_mm=spacing_mm, weight=weight)
    np.testing.assert_allclose(distance, expected, rtol=1e-4)


def test_several_seeds_give_the_minimum_of_their_distances():
    image = np.random.default_rng(2).normal(0, 100, (6, 9, 8))
    a, b = one_seed(image.shape, (1, 1, 1)), one_seed(image.shape, (4, 7, 6))
    together, from_a, from_b = (geodesic_distance(image, s, spacing_mm=ANISOTROPIC) for s in (a | b, a, b))
    np.testing.assert_array_equal(together, np.minimum(from_a, from_b))


def test_read_only_flipped_integer_arrays_are_taken_and_left_alone():
    image = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image.setflags(write=False)
    seeds = np.broadcast_to(np.arange(5) == 4, image.shape)
    distance = geodesic_distance(image[::-1, :, ::-1], seeds[::-1, :, ::-1], spacing_mm=(1, 1, 1))
    expected = geodesic_distance(image.copy(), seeds.copy(), spacing_mm=(1, 1, 1))
    np.testing.assert_allclose(distance[::-1, :, ::-1], expected, rtol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu():
    image = np.random.default_rng(3).normal(0, 100, (2, 12, 15, 11))
    seeds = one_seed(image.shape[1:], (3, 4, 5))
    cpu, cuda = (geodesic_distance(image, seeds, spacing_mm=ANISOTROPIC, device=d) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(cuda, cpu, rtol=1e-5)


class TestGeodisTKBackend:
    image = np.arange(48.0).reshape(2, 2, 3, 4)
    seeds = one_seed((2, 3, 4), (0, 0, 0))

    def test_passes_contiguous_arrays_channels_last(self, monkeypatch):
        calls = []

        def raster_scan(image, seeds, spacing, weight, iterations):
            calls.append((image, seeds, spacing, weight, iterations))
            return seeds.astype(np.float32)

        fake = types.SimpleNamespace(geodesic3d_raster_scan=raster_scan)
        monkeypatch.setitem(sys.modules, "GeodisTK", fake)
        result = geodesic_distance(
            self.image, self.seeds, spacing_mm=np.array(ANISOTROPIC), weight=0.3, backend="geodistk", iterations=7
        )
        image, seeds, spacing, weight, iterations = calls[0]
        np.testing.assert_array_equal(image, np.moveaxis(self.image, 0, -1))
        assert image.dtype == np.float32
        assert image.flags.c_contiguous
        assert (seeds.dtype, spacing, weight, iterations) == (np.uint8, list(ANISOTROPIC), 0.3, 7)
        np.testing.assert_array_equal(result, self.seeds)

    def test_converges_to_the_torch_backend(self):
        pytest.importorskip("GeodisTK", reason="GeodisTK is optional and has no wheel")
        keywords = {"spacing_mm": ANISOTROPIC, "weight": 0.3}
        scans = geodesic_distance(self.image, self.seeds, backend="geodistk", iterations=50, **keywords)
        np.testing.assert_allclose(scans, geodesic_distance(self.image, self.seeds, **keywords), rtol=1e-4)

    def test_says_how_to_install_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "GeodisTK", None)
        with pytest.raises(PasegError, match="pip install --no-build-isolation GeodisTK"):
            geodesic_distance(self.image, self.seeds, spacing_mm=ANISOTROPIC, backend="geodistk")

    def test_refuses_no_iterations(self):
        with pytest.raises(PasegError, match="at least one iteration, got 0"):
            geodesic_distance(self.image, self.seeds, spacing_mm=ANISOTROPIC, backend="geodistk", iterations=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((3, 4))}, r"must be \(z, y, x\) or \(c, z, y, x\), got shape \(3, 4\)"),
        ({"image": np.zeros((2, 3, 5))}, r"got image \(2, 3, 5\) and seeds \(2, 3, 4\)"),
        ({"image": np.zeros((0, 2, 3, 4))}, r"got image \(0, 2, 3, 4\)"),
        ({"seeds": np.zeros((2, 3, 4), bool)}, "There is no seed"),
        ({"weight": -0.1}, r"weight must lie in \[0, 1\], got -0.1"),
        ({"weight": 1.5}, r"weight must lie in \[0, 1\], got 1.5"),
        ({"weight": float("nan")}, "got nan"),
        ({"spacing_mm": (1.0, 0.0, 1.0)}, "three positive numbers"),
        ({"spacing_mm": (1.0, 1.0)}, "three positive numbers"),
        ({"spacing_mm": (1.0, 1.0, float("inf"))}, "three positive numbers"),
        ({"spacing_mm": 1.0}, "three positive numbers"),
        ({"image": np.full((2, 3, 4), np.nan)}, "NaN or infinite"),
        ({"image": np.full((2, 3, 4), 1e300)}, "NaN or infinite"),
        ({"backend": "fmm"}, "Unknown backend 'fmm'.*torch, geodistk"),
    ],
)
def test_refuses_what_it_cannot_use(change, message):
    arguments = {"image": np.zeros((2, 3, 4)), "seeds": one_seed((2, 3, 4), (0, 0, 0)), "spacing_mm": (1.0, 1.0, 1.0)}
    arguments |= change
    with pytest.raises(PasegError, match=message):
        geodesic_distance(arguments.pop("image"), arguments.pop("seeds"), **arguments)
