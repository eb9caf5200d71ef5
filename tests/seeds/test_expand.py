import numpy as np
import pytest

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.expand import expand_points as expand
from nnunet_paseg.seeds.rules import SeedParameters

BOX = (slice(2, 9), slice(2, 9), slice(2, 9))
PAPER = SeedParameters(rule="paper")


def expand_points(*arguments, **options):
    """The label map alone."""
    return expand(*arguments, **options).labels


def target(label=1, foreground=((5, 5, 5),), box=BOX):
    return VoxelInstance(label, np.array(foreground), box)


def test_seeds_unlabelled_and_background_of_one_target():
    # A constant image makes every step cost the same per millimetre: seeds are a ball around the point.
    labels = expand_points(np.zeros((1, 12, 12, 12)), [target()], spacing_mm=(1, 1, 1), num_classes=1, parameters=PAPER)
    outside = np.ones(labels.shape, dtype=bool)
    outside[BOX] = False
    assert (labels[outside] == 0).all()
    # The corner is 3*sqrt(3) away, so 0.2 of it is 1.04: the point and its six neighbours.
    assert np.argwhere(labels == 1).tolist() == sorted(
        [[5, 5, 5], [4, 5, 5], [6, 5, 5], [5, 4, 5], [5, 6, 5], [5, 5, 4], [5, 5, 6]]
    )
    assert (labels == 2).sum() == 7**3 - 7


def test_seeds_stop_at_an_edge():
    image = np.zeros((1, 12, 12, 12))
    image[..., 7:] = 1000.0
    labels = expand_points(
        image, [target()], spacing_mm=(1, 1, 1), num_classes=1, parameters=SeedParameters(rule="paper", threshold=0.5)
    )
    assert (labels[..., 3:7] == 1).any()
    assert not (labels[..., 7:] == 1).any()


def test_a_larger_threshold_gives_more_seeds():
    image = np.random.default_rng(0).normal(0, 100, (1, 12, 12, 12))
    counts = [
        (
            expand_points(
                image,
                [target()],
                spacing_mm=(1, 1, 1),
                num_classes=1,
                parameters=SeedParameters(rule="paper", threshold=t),
            )
            == 1
        ).sum()
        for t in (0.1, 0.3, 0.6, 1.0)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_several_instances_and_classes_unite():
    far = (slice(12, 17), slice(2, 7), slice(2, 7))
    labels = expand_points(
        np.zeros((1, 20, 12, 12)),
        [target(), target(2, ((14, 4, 4),), far), target(1, ((14, 4, 4),), far)],
        spacing_mm=(1, 1, 1),
        num_classes=2,
        parameters=PAPER,
    )
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert labels[5, 5, 5] == 1
    # Two classes claim the same point at the same distance: the first to claim it keeps it.
    assert labels[14, 4, 4] == 2
    assert (labels[10:12] == 0).all()


def test_a_voxel_of_two_classes_goes_to_the_relatively_nearer_one():
    parameters = SeedParameters(rule="paper", threshold=1.0)
    left, right = target(1, ((5, 5, 3),)), target(2, ((5, 5, 7),))
    for order in ([left, right], [right, left]):
        labels = expand_points(
            np.zeros((1, 12, 12, 12)), order, spacing_mm=(1, 1, 1), num_classes=2, parameters=parameters
        )
        assert labels[5, 5, 4] == 1
        assert labels[5, 5, 6] == 2


def test_background_points_inside_a_box_stay_background():
    marked = VoxelInstance(1, np.array([[5, 5, 5]]), BOX, np.array([[5, 5, 6], [3, 3, 3], [7, 7, 7]]))
    other = target(2, ((7, 7, 7),), (slice(6, 9),) * 3)
    for order in ([marked, other], [other, marked]):
        labels = expand_points(np.zeros((1, 12, 12, 12)), order, spacing_mm=(1, 1, 1), num_classes=2, parameters=PAPER)
        # In no other box: background, even one that is a neighbour of the foreground point.
        assert labels[5, 5, 6] == labels[3, 3, 3] == 0
        assert labels[5, 5, 4] == 1
        # Outside one target, but the foreground point of another.
        assert labels[7, 7, 7] == 2


def test_no_target_at_all_is_background():
    assert not expand_points(np.zeros((1, 4, 4, 4)), [], spacing_mm=(1, 1, 1), num_classes=1, parameters=PAPER).any()


def test_an_image_with_nan_inside_a_box_is_refused():
    image = np.zeros((1, 12, 12, 12))
    image[0, 5, 5, 6] = np.nan
    with pytest.raises(PasegError, match="NaN or infinite values near a target: repair"):
        expand_points(image, [target()], spacing_mm=(1, 1, 1), num_classes=1, parameters=PAPER)


def test_the_paper_rule_has_no_volumes():
    assert expand(np.zeros((1, 12, 12, 12)), [target()], spacing_mm=(1, 1, 1), num_classes=1, parameters=PAPER)[1] == {}
