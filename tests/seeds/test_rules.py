from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.learned.weights import shipped_sha256
from nnunet_paseg.seeds.rules import DEFAULTS, SeedParameters, box_seeds, normalised, radius_in_box

SPACING = (1.0, 1.0, 1.0)
NOWHERE = np.zeros((0, 3), dtype=np.int64)


def test_radius_in_box_by_hand():
    # Centres of five voxels lie at -4/5, -2/5, 0, 2/5, 4/5 of the half edge.
    assert radius_in_box((1, 1, 5), NOWHERE)[0, 0] == pytest.approx([0.8, 0.4, 0, 0.4, 0.8])
    assert radius_in_box((3, 3, 3), NOWHERE)[0, 0, 0] == pytest.approx(np.sqrt(3) * 2 / 3)


def ends_at(far: int, aside: int, size: int) -> np.ndarray:
    """Ends of a target in a cube: in z in the middle of the faces, in y and x ``aside`` of it, along one diagonal."""
    middle = size // 2
    offsets = [(far, 0, 0), (-far, 0, 0), (0, far, aside), (0, -far, -aside), (0, aside, far), (0, -aside, -far)]
    return middle + np.array(offsets)


def test_ends_in_the_middle_of_the_faces_leave_the_radius_as_it_is():
    assert radius_in_box((21, 21, 21), ends_at(10, 0, 21)) == pytest.approx(radius_in_box((21, 21, 21), NOWHERE))


def test_ends_along_a_diagonal_bend_the_ellipsoid_by_hand():
    radius = radius_in_box((21, 21, 21), ends_at(9, 3, 21))
    # y and x are correlated by 4 * 9 * 3 / (2 * (81 + 9)) = 0.6, so det(R) = 1 - 0.36, and S holds 0.36 * 0.6 there.
    mixed = 0.216
    y, x = 6 / 10.5, 4 / 10.5
    for sign in (1, -1):
        expected = np.sqrt((y**2 + x**2 - 2 * mixed * sign * y * x) / (1 - mixed**2))
        assert radius[10, 16, 10 + 4 * sign] == pytest.approx(expected, rel=1e-5)
    assert radius[16, 10, 10] == pytest.approx(6 / 10.5)


def test_ends_in_one_plane_still_leave_room_around_it():
    radius = radius_in_box((21, 21, 21), ends_at(10, 10, 21))
    assert np.isfinite(radius).all()
    assert radius[10, 15, 15] < radius[10, 15, 10] < radius[10, 15, 5]


def test_too_few_ends_do_not_say_how_the_target_lies():
    assert (radius_in_box((9, 9, 9), ends_at(4, 4, 9)[:5]) == radius_in_box((9, 9, 9), NOWHERE)).all()


def test_an_oblique_target_takes_the_seeds_of_its_diagonal():
    """A rod along the diagonal of its box, without any contrast: only its ends tell where it is."""
    shape, ends = (21, 21, 21), ends_at(10, 9, 21)
    image = np.random.default_rng(0).normal(0, 0.01, (1, *shape))
    _, y, x = np.meshgrid(*[np.arange(n) - 10 for n in shape], indexing="ij")
    seeds = box_seeds(
        image, np.array([[10, 10, 10]]), ends, spacing_mm=SPACING, parameters=SeedParameters(rule="adaptive")
    )
    along, across = np.abs(y + x)[seeds.foreground].mean(), np.abs(y - x)[seeds.foreground].mean()
    # With the ellipsoid that knows nothing of the diagonal it is 2.4 times.
    assert along > 3.5 * across


def test_normalised_by_hand():
    image = np.stack([np.arange(11.0), 5 * np.arange(11.0) - 3]).reshape(2, 1, 1, 11)
    result = normalised(image)
    assert result[0, 0, 0] == pytest.approx((np.arange(11) - 1) / 8)
    assert result[1] == pytest.approx(result[0])
    assert not normalised(np.full((1, 2, 2, 2), 7.0)).any()
    # Where most of the box is one value the percentiles agree, and the whole range counts.
    rare = np.zeros((1, 1, 1, 100))
    rare[..., 0] = 4
    assert normalised(rare).max() == 1


@settings(max_examples=30)
@given(
    image=arrays(np.float32, (1, 5, 6, 7), elements=st.floats(-100, 100, width=32)),
    scale=st.sampled_from([0.5, 4.0, 256.0]),
    spacing=st.sampled_from([(1.0, 1.0, 1.0), (8.0, 0.5, 0.5)]),
)
def test_adaptive_seeds_do_not_depend_on_scale_or_spacing(image, scale, spacing):
    point, parameters = np.array([[2, 3, 3]]), SeedParameters(rule="adaptive")
    first = box_seeds(image, point, NOWHERE, spacing_mm=SPACING, parameters=parameters)
    other = box_seeds(image * scale, point, NOWHERE, spacing_mm=spacing, parameters=parameters)
    assert (first.foreground == other.foreground).all()
    assert (first.background == other.background).all()
    assert first.foreground[2, 3, 3]
    assert not (first.foreground & first.background).any()
    assert first.relative[2, 3, 3] == 0


def test_an_object_that_stands_out_takes_the_seeds():
    image = np.zeros((1, 9, 9, 9))
    image[0, 3:6, 3:6, 1:8] = 50.0
    seeds = box_seeds(
        image, np.array([[4, 4, 4]]), NOWHERE, spacing_mm=SPACING, parameters=SeedParameters(rule="adaptive")
    )
    assert (image[0][seeds.foreground] == 50).all()
    assert (image[0][seeds.background] == 0).all()


@pytest.mark.parametrize(("threshold", "background"), [(0.5, 1.5), (0.3, 2.0), (1.0, 1.0), (0.5, float("inf"))])
def test_the_open_voxels_lie_about_the_likely_volume(threshold, background):
    image = np.random.default_rng(0).normal(size=(1, 20, 20, 20))
    point, ends = (
        np.array([[9, 10, 10]]),
        np.array([[0, 9, 9], [19, 9, 9], [9, 0, 9], [9, 19, 9], [9, 9, 0], [9, 9, 19]]),
    )
    parameters = SeedParameters(rule="adaptive", threshold=threshold, background=background)
    seeds = box_seeds(image, point, ends, spacing_mm=SPACING, parameters=parameters)
    # 7,999 voxels are nearer than the farthest one.
    volume = 7999 / seeds.relative.max()
    assert seeds.foreground.sum() == pytest.approx(threshold * volume, rel=0.01)
    assert (~seeds.background).sum() == pytest.approx(min(background * volume, 8000), rel=0.01)
    assert seeds.relative[seeds.foreground].max() < threshold
    assert not (seeds.foreground & seeds.background).any()


def test_the_way_to_a_clicked_end_is_foreground_but_for_its_last_part():
    # A bright tube that no shape of the box suggests: along the diagonal of a noisy plane.
    tube = np.zeros((1, 5, 21, 21))
    for step in range(1, 20):
        tube[0, 1:4, step, step] = tube[0, 1:4, step, step - 1] = 1.0
    image = tube + np.random.default_rng(0).normal(0, 0.01, tube.shape)
    middle, ends = np.array([[2, 10, 10]]), np.array([[2, 1, 1], [2, 19, 19]])
    without = box_seeds(
        image, middle, NOWHERE, spacing_mm=SPACING, parameters=SeedParameters(rule="adaptive", threshold=1e-6)
    )
    seeds = box_seeds(
        image, middle, ends, spacing_mm=SPACING, parameters=SeedParameters(rule="adaptive", threshold=1e-6)
    )
    assert np.argwhere(without.foreground).tolist() == [[2, 10, 10]]
    found = np.argwhere(seeds.foreground)
    assert tube[0][seeds.foreground].all()
    # Eight tenths of the nine steps each way.
    assert found[:, 1].min() in (2, 3, 4)
    assert found[:, 1].max() in (16, 17, 18)


def test_every_foreground_point_is_a_seed():
    image = np.random.default_rng(0).normal(size=(2, 6, 6, 6))
    points = np.array([[0, 0, 0], [5, 5, 5], [2, 3, 4]])
    for rule in ("adaptive", "paper"):
        seeds = box_seeds(
            image, points, NOWHERE, spacing_mm=SPACING, parameters=SeedParameters(rule=rule, threshold=1e-6)
        )
        assert seeds.foreground[tuple(points.T)].all()


def test_a_box_of_one_voxel_is_foreground():
    for rule in ("adaptive", "paper"):
        seeds = box_seeds(
            np.ones((1, 1, 1, 1)),
            np.zeros((1, 3), int),
            NOWHERE,
            spacing_mm=SPACING,
            parameters=SeedParameters(rule=rule),
        )
        assert seeds.foreground.all()
        assert not seeds.background.any()


def test_the_paper_rule_makes_no_background():
    image = np.random.default_rng(0).normal(size=(1, 6, 6, 6))
    seeds = box_seeds(
        image, np.array([[2, 2, 2]]), NOWHERE, spacing_mm=SPACING, parameters=SeedParameters(rule="paper")
    )
    assert not seeds.background.any()
    assert (seeds.foreground == (seeds.relative < 0.2)).all()


def test_every_rule_has_a_threshold_of_its_own():
    assert SeedParameters(rule="adaptive").threshold == 0.5
    assert SeedParameters().threshold is None
    assert SeedParameters(rule="paper").threshold == 0.2
    assert SeedParameters(rule="paper", threshold=0.3).threshold == 0.3


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_a_threshold_that_is_no_fraction_is_refused(threshold):
    with pytest.raises(PasegError, match=rf"in \(0, 1\]: got {threshold}"):
        SeedParameters(rule="adaptive", threshold=threshold)


@pytest.mark.parametrize("background", [0.1, -1.0, float("nan")])
def test_background_nearer_than_foreground_is_refused(background):
    with pytest.raises(PasegError, match=rf"at 0.5 times the estimated volume or more: got {background}"):
        SeedParameters(rule="adaptive", background=background)


def test_an_unknown_rule_is_refused():
    with pytest.raises(PasegError, match="one of learned, adaptive, paper: got 'other'"):
        SeedParameters(rule="other")


def test_the_learned_rule_is_the_default():
    assert SeedParameters() == SeedParameters(
        rule="learned",
        foreground_probability=DEFAULTS["learned"]["foreground_probability"],
        background_probability=DEFAULTS["learned"]["background_probability"],
    )


@pytest.mark.parametrize(
    ("rule", "name", "value", "rules"),
    [
        ("learned", "threshold", 0.2, "adaptive or paper"),
        ("learned", "weight", 0.5, "adaptive or paper"),
        ("learned", "backend", "torch", "adaptive or paper"),
        ("paper", "foreground_probability", 0.9, "learned"),
        ("paper", "background_probability", 0.1, "learned"),
        ("paper", "expander", Path("own.pt"), "learned"),
    ],
)
def test_parameters_of_another_rule_are_refused(rule, name, value, rules):
    option = name.replace("_", "-")
    with pytest.raises(PasegError, match=rf"--{option} has no effect on the seed rule {rule}: .* --seeds {rules}\.$"):
        SeedParameters(rule=rule, **{name: value})


@pytest.mark.parametrize(("background", "foreground"), [(0.5, 0.4), (-0.1, 0.5), (0.1, 1.0), (float("nan"), 0.9)])
def test_probabilities_in_the_wrong_order_are_refused(background, foreground):
    with pytest.raises(PasegError, match=rf"got {background} and {foreground}"):
        SeedParameters(foreground_probability=foreground, background_probability=background)


def test_the_record_names_weights_by_their_content():
    parameters = SeedParameters()
    assert parameters.record()["expander_sha256"] is None
    record = parameters.with_sha256().record()
    assert set(record) == {"rule", "foreground_probability", "background_probability", "expander_sha256"}
    assert record["expander_sha256"] == shipped_sha256()
    paper = SeedParameters(rule="paper")
    assert paper.with_sha256() == paper
    assert paper.record() == {"rule": "paper", "threshold": 0.2, "weight": 0.5, "backend": "torch"}


def test_other_weights_than_those_of_the_record_are_refused():
    with pytest.raises(PasegError, match=r"was replaced during the conversion \(SHA-256 .*, not 0123\): run the same"):
        SeedParameters(expander_sha256="0123").network()
