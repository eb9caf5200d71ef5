"""The measures of the window on a ball with a clear edge, whose right answers are known."""

import numpy as np
import pytest

from benchmarks.accuracy import source
from benchmarks.window import Case, corrected, main, pushed
from nnunet_paseg.trainers.window import Window, window_of_targets

SIZE, RADIUS = 24, 8


@pytest.fixture
def ball():
    distance = np.sqrt(sum((axis - SIZE / 2) ** 2 for axis in np.ogrid[:SIZE, :SIZE, :SIZE]))
    classes = (distance < RADIUS).astype(np.int64)
    image = classes + np.random.default_rng(0).normal(0, 0.1, classes.shape)
    return Case(image[None].astype(np.float32), classes, np.abs(distance - RADIUS) < 3, {})


def test_a_right_segmentation_stays_and_a_wrong_one_is_corrected(ball):
    window = window_of_targets([2.0 * RADIUS] * 3, [1.0] * 3, (2, 2, 2))
    assert pushed(ball, 2, window) == (0, 0)
    for larger in (False, True):
        before, after = corrected(ball, 2, window, larger=larger)
        assert before < 0.9
        assert after > 0.98


def test_a_window_of_zero_corrects_nothing(ball):
    window = Window((1, 1, 1), (1, 1, 1), (1e-3, 1e-3, 1e-3), 0.3)
    assert pushed(ball, 2, window) == (0, 0)
    for larger in (False, True):
        before, after = corrected(ball, 2, window, larger=larger)
        assert after == before


def test_a_window_as_large_as_the_target_without_a_gate_pushes_it_away(ball):
    everywhere, unlabelled = pushed(ball, 2, Window((2, 2, 2), (5, 5, 5), (6.0, 6.0, 6.0), 100.0))
    assert everywhere > 0.3
    assert 0 < unlabelled <= everywhere


def test_local_changes_are_refused_before_any_work(monkeypatch, capsys):
    monkeypatch.setattr(source, "revision", lambda: "0123456-dirty")
    with pytest.raises(SystemExit, match="2"):
        main(["unused"])
    assert "local changes" in capsys.readouterr().err
