"""Parameters of both rules, and the seeds of one target by the rule of the paper."""

from pathlib import Path

import numpy as np
import pytest

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.learned.weights import shipped_sha256
from nnunet_paseg.seeds.rules import DEFAULTS, SeedParameters, target_seeds


def paper_seeds(image, points, box, **options):
    instance = VoxelInstance(1, np.array(points), box)
    return target_seeds(image, instance, spacing_mm=(1, 1, 1), parameters=SeedParameters(rule="paper", **options))


def test_every_foreground_point_is_a_seed():
    image = np.random.default_rng(0).normal(size=(2, 8, 8, 8))
    points = np.array([[1, 1, 1], [6, 6, 6], [3, 4, 5]])
    seeds = paper_seeds(image, points, (slice(1, 7),) * 3, threshold=1e-6)
    assert seeds.foreground.shape == (6, 6, 6)
    assert seeds.foreground[tuple((points - 1).T)].all()
    assert seeds.foreground.sum() == 3


def test_a_box_of_one_voxel_is_foreground():
    seeds = paper_seeds(np.ones((1, 3, 3, 3)), [[1, 1, 1]], (slice(1, 2),) * 3)
    assert seeds.foreground.all()
    assert not seeds.background.any()


def test_the_paper_rule_makes_no_background():
    seeds = paper_seeds(np.random.default_rng(0).normal(size=(1, 6, 6, 6)), [[2, 2, 2]], (slice(0, 6),) * 3)
    assert not seeds.background.any()
    assert (seeds.foreground == (seeds.relative < 0.2)).all()
    assert np.isnan(seeds.volume)
    assert seeds.probability is None


def test_parameters_of_the_other_rule_stay_empty():
    assert SeedParameters().threshold is None
    assert SeedParameters(rule="paper").threshold == 0.2
    assert SeedParameters(rule="paper", threshold=0.3).threshold == 0.3
    assert SeedParameters(rule="paper").foreground_probability is None


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_a_threshold_that_is_no_fraction_is_refused(threshold):
    with pytest.raises(PasegError, match=rf"in \(0, 1\]: got {threshold}"):
        SeedParameters(rule="paper", threshold=threshold)


def test_an_unknown_rule_is_refused():
    with pytest.raises(PasegError, match="one of learned, paper: got 'other'"):
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
        ("learned", "threshold", 0.2, "paper"),
        ("learned", "weight", 0.5, "paper"),
        ("learned", "backend", "torch", "paper"),
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
