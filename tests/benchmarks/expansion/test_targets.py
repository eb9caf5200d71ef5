"""Targets: components, surroundings, clicks, datasets and phantoms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.expansion import datasets
from benchmarks.expansion.clicks import simulate_draws
from benchmarks.expansion.datasets import load_targets, spread
from benchmarks.expansion.phantoms import BODIES, CONTRASTS, phantom_targets
from benchmarks.expansion.target import MARGIN, cut_out, largest_component
from nnunet_paseg.errors import PasegError
from tests.benchmarks.expansion.scene import cube_target, write_dataset

HALVES = {"Dataset900_A": {"choose": ["a", "b", "c"], "report": ["d"]}}


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "read_halves", lambda: HALVES)
    write_dataset(tmp_path / "data" / "Dataset900_A", "abcd", channels=2)
    return tmp_path / "data"


def test_the_largest_component_is_connected_by_corners():
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[3, 3, 3] = True
    assert np.argwhere(largest_component(mask)).tolist() == [[0, 0, 0], [1, 1, 1]]
    assert not largest_component(np.zeros_like(mask)).any()


def test_the_surroundings_end_at_the_border():
    mask = np.zeros((40, 60, 9), dtype=bool)
    mask[0:10, 30:34, 3:6] = True
    assert cut_out(mask) == (slice(0, 20 + MARGIN), slice(26 - MARGIN, 38 + MARGIN), slice(0, 9))


def test_the_targets_of_a_half(data):
    targets = load_targets(data, "choose", draws=2)
    assert [(target.kind, target.case) for target in targets] == [("cube", "a"), ("cube", "b"), ("cube", "c")]
    for target in targets:
        assert target.image.shape == (2, *target.mask.shape)
        assert target.mask.sum() == 125  # the largest component; the other class is too small
        assert target.spacing_mm == (2.0, 1.0, 1.0)
        assert len(target.draws) == 2
    assert [target.case for target in load_targets(data, "report", draws=1)] == ["d"]
    assert [target.case for target in load_targets(data, "choose", draws=1, limit=2)] == ["a", "b"]


def test_clicks_depend_on_the_target_and_the_draw_alone(data):
    alone = load_targets(data, "choose", draws=1, limit=1)[0].draws[0]
    first, _, third = load_targets(data, "choose", draws=2)
    assert first.draws[0].box == alone.box
    assert (first.draws[0].extremes == alone.extremes).all()
    different = [third.draws[0], first.draws[1]]
    assert all(each.box != alone.box or (each.extremes != alone.extremes).any() for each in different)


def test_a_cache_gives_the_same_targets_and_no_others(data, tmp_path, monkeypatch):
    cache = tmp_path / "cache.pkl"
    made = load_targets(data, "choose", draws=1, cache=cache)
    monkeypatch.setattr(datasets, "targets_of_case", None)  # nothing is read again
    kept = load_targets(data, "choose", draws=1, cache=cache)
    assert [target.case for target in kept] == [target.case for target in made]
    assert all((one.image == other.image).all() for one, other in zip(made, kept, strict=True))
    with pytest.raises(PasegError, match=r"cache\.pkl contains the targets of .*'choose', 1, None.*: delete it"):
        load_targets(data, "report", draws=1, cache=cache)


def test_cases_without_a_half_are_an_error(data):
    write_dataset(data / "Dataset901_B", "x")
    with pytest.raises(PasegError, match="Dataset901_B has cases without a half, such as x: run"):
        load_targets(data, "choose")


def test_a_folder_without_datasets_is_an_error(tmp_path):
    with pytest.raises(PasegError, match="contains no dataset: pass a folder"):
        load_targets(tmp_path, "choose")


@given(st.lists(st.integers(), unique=True), st.integers(1, 9))
def test_a_limit_spreads_the_cases(cases, limit):
    chosen = spread(cases, limit)
    assert len(chosen) == min(limit, len(cases))
    assert chosen == [case for case in cases if case in chosen]
    assert spread(cases, None) == cases


def test_clicks_on_the_faces_leave_the_outermost_plane_out():
    target = simulate_draws(cube_target(), 1, margin=(0, 0))
    assert target.draws[0].box == (slice(9, 13),) * 3


def test_phantoms_are_the_same_each_time_and_have_their_contrast():
    targets, again = phantom_targets(1), phantom_targets(1)
    assert len(targets) == len(BODIES) * len(CONTRASTS)
    for target, other in zip(targets, again, strict=True):
        assert (target.image == other.image).all()
        assert (largest_component(target.mask) == target.mask).all()
        contrast = target.image[0][target.mask].mean() - target.image[0][~target.mask].mean()
        assert contrast == pytest.approx(CONTRASTS[target.case.split()[0]], rel=0.25)
    ellipsoid = targets[0].mask.sum() * 2.0
    assert ellipsoid == pytest.approx(4 / 3 * np.pi * 22 * 12 * 16, rel=0.03)
