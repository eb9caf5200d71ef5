"""Figures: geometry, slice, contours, points, Dice and legend, read back from what matplotlib drew."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

from nnunet_paseg.errors import PasegError
from nnunet_paseg.plotting.comparison import comparison_figure
from nnunet_paseg.plotting.panels import FigureRow, MarkedPoints, Panel


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def record(self: Figure, *args: Any, **kwargs: Any) -> None:
        figures.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)
    return figures


def reference() -> npt.NDArray[np.uint8]:
    """Two boxes in slices 2..4 of six; the largest area is in slice 3."""
    labels = np.zeros((6, 20, 30), dtype=np.uint8)
    labels[2:5, 4:8, 10:14] = 1
    labels[3, 12:16, 20:24] = 2
    return labels


def image() -> npt.NDArray[np.float32]:
    slices = np.arange(6, dtype=np.float32)[:, None, None]
    return np.asarray(np.random.default_rng(0).random((6, 20, 30), dtype=np.float32) + slices)


def row(*panels: Panel, spacing_mm: tuple[float, float, float] = (2.0, 1.0, 1.0)) -> FigureRow:
    return FigureRow("case_000", image(), spacing_mm, panels, reference=reference())


def colours(figure: Figure, index: int) -> list[str]:
    return [to_hex(tuple(np.asarray(contour.get_edgecolor())[0])).upper() for contour in figure.axes[index].collections]


def test_file_is_complete_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    comparison_figure([row(Panel(), Panel(reference()))], ["image", "reference"], path)
    assert list(tmp_path.iterdir()) == [path]
    picture = imread(path)
    assert picture.ndim == 3
    assert picture.std() > 0.05


def test_titles_names_and_slice(tmp_path: Path, drawn: list[Figure]) -> None:
    comparison_figure([row(Panel(), Panel(reference()))] * 2, ["image", "reference"], tmp_path / "f.png")
    (figure,) = drawn
    assert [axes.get_title() for axes in figure.axes] == ["image", "reference", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["case_000", "", "case_000", ""]
    assert np.array_equal(np.asarray(figure.axes[0].images[0].get_array()), image()[3])


@pytest.mark.parametrize("spacing_mm", [(2.0, 1.0, 1.0), (1.0, 3.0, 0.5)])
def test_voxels_keep_their_aspect(tmp_path: Path, drawn: list[Figure], spacing_mm: tuple[float, float, float]) -> None:
    comparison_figure([row(Panel(), spacing_mm=spacing_mm)], ["image"], tmp_path / "f.png")
    box = drawn[0].axes[0].get_window_extent()
    assert box.height / box.width == pytest.approx(20 * spacing_mm[1] / (30 * spacing_mm[2]), rel=1e-3)


def test_contours_lie_on_the_labels(tmp_path: Path, drawn: list[Figure]) -> None:
    comparison_figure([row(Panel(reference()))], ["reference"], tmp_path / "f.png")
    axes = drawn[0].axes[0]
    assert colours(drawn[0], 0) == ["#E69F00", "#56B4E9"]
    for contour, (x, y) in zip(axes.collections, [((10, 13), (4, 7)), ((20, 23), (12, 15))], strict=True):
        vertices = np.concatenate([path.vertices for path in contour.get_paths()])
        np.testing.assert_allclose(vertices.min(axis=0), [x[0] - 0.5, y[0] - 0.5])
        np.testing.assert_allclose(vertices.max(axis=0), [x[1] + 0.5, y[1] + 0.5])


def test_labels_at_the_border_are_closed(tmp_path: Path, drawn: list[Figure]) -> None:
    full = np.ones((6, 20, 30), dtype=np.uint8)
    comparison_figure([row(Panel(full))], ["full"], tmp_path / "f.png")
    (path,) = drawn[0].axes[0].collections[0].get_paths()
    np.testing.assert_allclose(np.asarray(path.vertices).min(axis=0), (-0.5, -0.5))


def test_ignore_label_is_a_veil(tmp_path: Path, drawn: list[Figure]) -> None:
    seeds = reference()
    seeds[seeds == 2] = 3
    comparison_figure([row(Panel(seeds, ignore_label=3))], ["seeds"], tmp_path / "f.png")
    axes = drawn[0].axes[0]
    assert colours(drawn[0], 0) == ["#E69F00"]
    veil = np.asarray(axes.images[1].get_array())
    assert np.array_equal(veil[..., 3] > 0, seeds[3] == 3)


def test_note_and_outline_of_the_reference(tmp_path: Path, drawn: list[Figure]) -> None:
    panels = [Panel(reference(), with_reference=True, note="Dice 0.90"), Panel()]
    comparison_figure([row(*panels)], ["a", "b"], tmp_path / "f.png")
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["Dice 0.90"]
    assert colours(drawn[0], 0)[-1] == "#FF3B3B"
    assert not drawn[0].axes[1].texts


def test_points_are_hollow_off_the_slice(tmp_path: Path, drawn: list[Figure]) -> None:
    positions = np.array([[3.0, 5.0, 11.0], [1.0, 5.0, 11.0], [3.4, 5.0, 20.0]])
    points = MarkedPoints(positions, np.array([1, 0, 0]))
    comparison_figure([row(Panel(points=points))], ["points"], tmp_path / "f.png")
    below, beside, inside = drawn[0].axes[0].lines  # class points last, on top
    assert (below.get_markerfacecolor(), np.asarray(below.get_xydata()).tolist()) == ("none", [[11.0, 5.0]])
    assert (beside.get_markerfacecolor(), np.asarray(beside.get_xydata()).tolist()) == ("#FFFFFF", [[20.0, 5.0]])
    assert (inside.get_marker(), inside.get_markerfacecolor()) == ("*", "#E69F00")


def test_legend_names_what_is_there(tmp_path: Path, drawn: list[Figure]) -> None:
    panels = [Panel(reference(), with_reference=True), Panel(points=MarkedPoints(np.zeros((1, 3)), np.array([0])))]
    comparison_figure([row(*panels)], ["a", "b"], tmp_path / "f.png", class_names=["tumour"])
    (legend,) = drawn[0].legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["tumour", "class 2", "reference", "point inside", "point outside (hollow: on another slice)"]


def test_no_reference_and_empty_prediction(tmp_path: Path, drawn: list[Figure]) -> None:
    empty = np.zeros((6, 20, 30), dtype=np.uint8)
    bare = FigureRow("case", image(), (1, 1, 1), [Panel(empty, with_reference=True)])
    comparison_figure([bare], ["image"], tmp_path / "f.pdf")
    assert not drawn[0].axes[0].texts
    assert not drawn[0].axes[0].collections


def test_errors_say_what_was_got(tmp_path: Path) -> None:
    path = tmp_path / "f.png"
    with pytest.raises(PasegError, match="one row and one column at least"):
        comparison_figure([], ["a"], path)
    with pytest.raises(PasegError, match="case_000: 1 panels for 2 columns"):
        comparison_figure([row(Panel())], ["a", "b"], path)
    with pytest.raises(PasegError, match=r"case_000: labels of shape \(5, 20, 30\) on an image of shape \(6, 20, 30\)"):
        comparison_figure([row(Panel(reference()[1:]))], ["a"], path)
    flat = FigureRow("flat", image()[0], (1, 1), [Panel()])
    with pytest.raises(PasegError, match=r"flat: image and spacing_mm must be \(z, y, x\)"):
        comparison_figure([flat], ["a"], path)
    with pytest.raises(PasegError, match=r"f\.docx: cannot be written"):
        comparison_figure([row(Panel())], ["a"], tmp_path / "f.docx")
    assert list(tmp_path.iterdir()) == []
