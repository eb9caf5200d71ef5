"""The figure of the seven points."""

import matplotlib.image
import numpy as np

from benchmarks.seven_points import OUTPUT, draw


def test_the_figure_of_the_documentation_is_drawn_again(tmp_path):
    draw(tmp_path / "seven_points.png")
    pixels, committed = (matplotlib.image.imread(path) for path in (tmp_path / "seven_points.png", OUTPUT))
    assert pixels.shape == committed.shape
    # Fonts differ between versions of matplotlib.
    assert np.abs(pixels - committed).mean() < 0.02
