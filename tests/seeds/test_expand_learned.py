"""The learned rule: cuts of the probability, competing targets and clicked voxels."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.expand import expand_points, needed_window
from nnunet_paseg.seeds.rules import SeedParameters

BOX = (slice(2, 9), slice(2, 9), slice(2, 9))
IMAGE = np.zeros((1, 12, 12, 12), dtype=np.float32)
OPTIONS = {"spacing_mm": (1, 1, 1), "num_classes": 2}
NOWHERE = np.zeros((0, 3), dtype=np.int64)


def target(label=1, foreground=((5, 5, 5),), box=BOX, background=NOWHERE):
    return VoxelInstance(label, np.array(foreground), box, np.array(background))


def near(z, y, x, instance):
    """0.98 at the first foreground point, less by 0.15 per voxel of distance."""
    a, b, c = instance.foreground[0]
    return np.clip(0.98 - 0.15 * np.sqrt((z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2), 0, 1)


def test_both_cuts_by_hand(probability_of):
    probability_of(lambda z, y, x, _: np.select([x < 4, x < 6, x < 8], [0.95, 0.7, 0.3], 0.05))
    labels, volumes, (p,), problems = expand_points(IMAGE, [target()], **OPTIONS)
    assert (labels[BOX][..., :2] == 1).all()
    # At a cut a voxel is unlabelled; the clicked one at x = 5 is not.
    opened = labels[BOX][..., 2:6]
    assert (opened == 3).sum() == opened.size - 1
    assert labels[5, 5, 5] == 1
    assert (labels[BOX][..., 6] == 0).all()
    assert (labels != 0).sum() == 49 * 6
    assert volumes == pytest.approx({1: 49 * (2 * 0.95 + 2 * 0.7 + 2 * 0.3 + 0.05)})
    assert p.shape == (7, 7, 7)
    assert problems == [[]]


def test_other_cuts(probability_of):
    probability_of(lambda z, y, x, _: x / 10)
    parameters = SeedParameters(foreground_probability=0.65, background_probability=0.35)
    labels = expand_points(IMAGE, [target()], parameters=parameters, **OPTIONS).labels
    for x, label in enumerate((0, 0, 0, 0, 3, 3, 3, 1, 1)):
        assert labels[2, 2, x] == label
    # A cut of zero leaves no background in the box.
    parameters = SeedParameters(foreground_probability=0.65, background_probability=0)
    assert not (expand_points(IMAGE, [target()], parameters=parameters, **OPTIONS).labels[BOX] == 0).any()


def test_a_voxel_of_two_targets_goes_to_the_likelier_one(probability_of):
    probability_of(near)
    parameters = SeedParameters(foreground_probability=0.3)
    left, right = target(1, ((5, 5, 3),)), target(2, ((5, 5, 7),))
    for order in ([left, right], [right, left]):
        labels = expand_points(IMAGE, order, parameters=parameters, **OPTIONS).labels
        assert labels[5, 5, 4] == 1
        assert labels[5, 5, 6] == 2


def test_background_of_one_target_stays_unless_another_box_leaves_it_open_or_claims_it(probability_of):
    other = target(2, ((8, 8, 8),), (slice(5, 11),) * 3)
    probability_of(lambda z, y, x, instance: 0.0 if instance.label == 1 else np.select([z < 7, z < 9], [0.02, 0.5], 1))
    for order in ([target(), other], [other, target()]):
        labels = expand_points(IMAGE, order, **OPTIONS).labels
        assert labels[6, 7, 7] == 0, "background of both"
        assert labels[7, 7, 7] == 3, "open in the other box"
        assert labels[9, 7, 7] == 2, "seed of the other target"
        assert labels[3, 3, 3] == 0


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 999),
    corners=st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=4),
    cuts=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)).map(sorted),
)
def test_clicked_voxels_keep_their_label_whatever_the_network_says(probability_of, seed, corners, cuts):
    rng = np.random.default_rng(seed)
    probability_of(lambda z, y, x, _: rng.random(z.shape))
    instances, taken = [], set()
    for corner in corners:
        points = [tuple((np.array(corner) + rng.integers(0, 7, 3)).tolist()) for _ in range(4)]
        points = [point for point in dict.fromkeys(points) if point not in taken]
        taken.update(points)
        if points:
            box = tuple(slice(side, side + 7) for side in corner)
            label = int(rng.integers(1, 3))
            instances.append(VoxelInstance(label, np.array(points[:1]), box, np.array(points[1:]).reshape(-1, 3)))
    parameters = SeedParameters(background_probability=cuts[0], foreground_probability=cuts[1])
    labels = expand_points(IMAGE, instances, parameters=parameters, **OPTIONS).labels
    for instance in instances:
        assert (labels[tuple(instance.foreground.T)] == instance.label).all()
        assert (labels[tuple(instance.background.T)] == 0).all()
    for order in (instances[::-1], sorted(instances, key=lambda one: one.label)):
        assert expand_points(IMAGE, order, parameters=parameters, **OPTIONS).labels.shape == labels.shape


def test_two_classes_clicked_at_one_voxel(probability_of):
    probability_of(near)
    labels = expand_points(IMAGE, [target(2), target(1)], **OPTIONS).labels
    assert labels[5, 5, 5] == 2, "the first keeps it"


def test_volumes_are_those_of_the_targets_on_their_own(probability_of):
    probability_of(near)
    first, second = target(1, ((5, 5, 3),)), target(2, ((5, 5, 7),))
    alone = {one.label: expand_points(IMAGE, [one], **OPTIONS).volumes[one.label] for one in (first, second)}
    assert expand_points(IMAGE, [first, second], **OPTIONS).volumes == pytest.approx(alone)
    twice = expand_points(IMAGE, [first, first], **OPTIONS).volumes
    assert twice == pytest.approx({1: 2 * alone[1]})


def test_no_target_at_all_is_background():
    labels, volumes, probabilities, problems = expand_points(IMAGE, [], **OPTIONS)
    assert not labels.any()
    assert (volumes, probabilities, problems) == ({}, [], [])


def test_the_network_needs_voxels_around_the_box():
    instances, shape = [target(box=(slice(20, 30),) * 3, foreground=((25, 25, 25),))], (60, 60, 60)
    assert needed_window(instances, shape, SeedParameters(rule="paper")) == instances[0].box
    for side, inner in zip(needed_window(instances, shape, SeedParameters()), instances[0].box, strict=True):
        assert 0 < side.start < inner.start
        assert inner.stop < side.stop < 60
    assert needed_window([], shape, SeedParameters()) is None


@pytest.mark.parametrize("channels", [1, 2])
def test_a_crop_to_the_needed_window_changes_nothing(channels):
    """With the real network, on whatever it sees."""
    image = np.random.default_rng(0).normal(100, 20, (channels, 40, 44, 48)).astype(np.float32)
    instances = [
        target(1, ((15, 16, 17),), (slice(12, 19), slice(12, 21), slice(12, 23))),
        target(2, ((2, 20, 22),), (slice(0, 5), slice(18, 24), slice(20, 25))),
    ]
    window = needed_window(instances, image.shape[1:], SeedParameters())
    start = np.array([side.start for side in window])
    assert window != tuple(slice(0, length) for length in image.shape[1:])
    moved = [
        target(
            one.label,
            one.foreground - start,
            tuple(slice(side.start - first, side.stop - first) for side, first in zip(one.box, start, strict=True)),
        )
        for one in instances
    ]
    whole = expand_points(image, instances, **OPTIONS)
    cropped = expand_points(image[:, window[0], window[1], window[2]], moved, **OPTIONS)
    np.testing.assert_array_equal(cropped.labels, whole.labels[window])
    for one, other in zip(whole.probabilities, cropped.probabilities, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_an_image_with_nan_near_a_target_is_refused():
    image = IMAGE.copy()
    image[0, 1, 5, 5] = np.nan  # not in the box, but in what the network sees
    with pytest.raises(PasegError, match="NaN or infinite values near a target: repair"):
        expand_points(image, [target()], **OPTIONS)
    expand_points(image, [target()], parameters=SeedParameters(rule="paper"), **OPTIONS)
