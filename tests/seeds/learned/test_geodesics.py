import numpy as np
import pytest

from nnunet_paseg.seeds.geodesic import geodesic_distance
from nnunet_paseg.seeds.learned.geodesics import WEIGHT, _graph, _resized, geodesic_maps
from nnunet_paseg.seeds.learned.layout import FloatArray

NOBODY = np.zeros((0, 3))


def image(seed: int, size: int = 12) -> FloatArray:
    return np.random.default_rng(seed).standard_normal((size,) * 3).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_the_seed_rule(seed: int) -> None:
    from scipy.sparse import csgraph

    cube, place = image(seed), (3, 8, 5)
    seeds = np.zeros(cube.shape, dtype=bool)
    seeds[place] = True
    expected = geodesic_distance(cube, seeds, spacing_mm=(1 / 12,) * 3, weight=WEIGHT)
    source = np.ravel_multi_index(place, cube.shape)
    found = csgraph.dijkstra(_graph(cube), directed=False, indices=source).reshape(cube.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_an_even_image_is_halved_between_the_points() -> None:
    points = {"foreground": np.array([[5.0, 11.5, 11.5]]), "background": np.array([[18.0, 11.5, 11.5]])}
    relative, scaled = geodesic_maps(np.zeros((24, 24, 24), dtype=np.float32), context=4, **points)
    assert relative.shape == scaled.shape == (24, 24, 24)
    assert relative[5, 11, 11] < -0.6
    assert relative[18, 11, 11] > 0.6
    assert abs(relative[11:13, 11, 11].mean()) < 0.1
    assert scaled[5, 11, 11] < -0.6
    assert scaled[18, 11, 11] == pytest.approx(0, abs=0.3)


def test_a_wall_is_far_and_a_detour_is_near() -> None:
    cube = np.zeros((24, 24, 24), dtype=np.float32)
    cube[:, 10:14, :16] = 2  # a wall that is open at one end
    points = {"foreground": np.array([[12.0, 4.0, 2.0]]), "background": np.array([[12.0, 12.0, 2.0]])}
    relative, _ = geodesic_maps(cube, context=4, **points)
    assert relative[12, 20, 2] < 0  # behind the wall, but connected around its end
    assert relative[12, 12, 8] > 0.5  # in the wall


def test_without_background_points_the_surroundings_take_their_place() -> None:
    relative, scaled = geodesic_maps(
        np.zeros((24, 24, 24), dtype=np.float32),
        foreground=np.array([[12.0, 12.0, 12.0]]),
        background=NOBODY,
        context=4,
    )
    assert relative[0, 0, 0] == pytest.approx(1)
    assert relative[12, 12, 12] < -0.6
    assert np.isfinite(scaled).all()


def test_scale_of_the_points_and_the_axes_do_not_matter() -> None:
    cube, rng = image(4, 24), np.random.default_rng(4)
    points = {"foreground": rng.uniform(6, 18, (2, 3)), "background": rng.uniform(2, 22, (6, 3))}
    maps = geodesic_maps(cube, context=4, **points)
    turned = {name: values[:, ::-1] for name, values in points.items()}
    np.testing.assert_allclose(
        geodesic_maps(np.ascontiguousarray(cube.T), context=4, **turned), maps.transpose(0, 3, 2, 1), atol=1e-4
    )


def test_resizing_keeps_even_cubes() -> None:
    assert np.allclose(_resized(np.full((24, 24, 24), 3.0, dtype=np.float32), 12), 3)
