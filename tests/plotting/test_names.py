"""Names of cases and classes are drawn as text, whatever characters they hold."""

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from matplotlib.lines import Line2D

from nnunet_paseg.plotting.comparison import comparison_figure
from nnunet_paseg.plotting.curves import curves_figure
from nnunet_paseg.plotting.figures import add_legend, new_figure, save_figure, to_png
from nnunet_paseg.plotting.names import shortened, visible
from nnunet_paseg.plotting.panels import FigureRow, Panel
from nnunet_paseg.trainers.watch.patches import draw_patches

NAMES = st.text(st.characters(exclude_categories=()) | st.sampled_from("${}^_\\\n%&"), min_size=1, max_size=50)
HOSTILE = [
    "$x_$",
    "a${\\frac}$b",
    "_hidden",
    "two\nlines",
    "caf\udce9",
    "\N{ESCAPE}[31m",
    "肿瘤",
    "\u202eevil",
    "$" * 9,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_figures_are_drawn(tmp_path, name):
    labels = np.zeros((3, 8, 8), dtype=np.uint8)
    labels[1, 2:5, 2:5] = 1
    row = FigureRow(name, labels.astype(np.float32), (1, 1, 1), [Panel(labels)])
    comparison_figure([row], [name], tmp_path / "a.png", class_names=[name])
    probabilities = np.full((1, 2, 3, 8, 8), 0.5)
    names = {"background": 0, name: 1, "ignore": 2}
    patches = tmp_path / "b.png"
    draw_patches(labels[None, None], labels[None], probabilities, patches, names=names, spacing_mm=(1, 1, 1))
    to_png(curves_figure({name: {name: [1.0], "other": [2.0]}}))
    assert imread(tmp_path / "a.png").std() > 0.01 < imread(patches).std()


@settings(max_examples=50, deadline=None)
@given(NAMES)
@example("_hidden")
@example("$x_$")
@example("\ud800")
def test_any_name_stands_in_the_legend_and_the_title(tmp_path_factory, name):
    figure = new_figure(2, 1, dpi=20)
    figure.text(0, 0, name)
    add_legend(figure, [(name, Line2D([], []))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_png(figure)
        save_figure(figure, tmp_path_factory.getbasetemp() / "a.png")
    assert figure.texts[0].get_text() == visible(name)
    assert figure.legends[0].get_texts()[0].get_text() == visible(shortened(name, 40))
    assert not figure.texts[0].get_parse_math()


@given(st.text(st.characters(exclude_categories=())))
def test_what_is_visible_is_one_line_that_can_be_written(name):
    shown = visible(name)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert visible(shown) == shown


def test_long_names_keep_both_ends():
    assert shortened("a" * 40, 40) == "a" * 40
    name = shortened("b" * 60 + "end", 40)
    assert len(name) <= 40
    assert name.startswith("bbb")
    assert name.endswith("end")
