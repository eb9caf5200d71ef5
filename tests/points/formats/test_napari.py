"""napari's points layers: empty cells, axes, and numbers that are millimetres because the layer had no scale."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.checking.check import check_folder, format_reports
from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats import doubts, read_points
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import place_on_grid
from tests.points.formats import clicks, writers

SPACINGS = st.tuples(*[st.sampled_from([0.001, 0.3, 0.8, 1.0, 1.25, 2.0, 5.0])] * 3)
FEATURES = {"class": "tumor", "label": "F-1", "instance": "1.0", "role": "", "confidence": "0.5"}


def grid_of(spacing, origin=(0.0, 0.0, 0.0)):
    return Grid((30, 30, 30), spacing, origin, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def foreground(path, grid):
    return [grid.to_voxels(i.foreground)[0].tolist() for i in read_points(path, grid, ["tumor"])]


@given(empty=st.sampled_from(["nan", "NaN", "<NA>", "None", ""]), columns=st.sets(st.sampled_from(list(FEATURES))))
@settings(max_examples=30, deadline=None)
def test_features_that_a_point_does_not_have(tmp_path_factory, empty, columns):
    columns = sorted(columns - {"class"} if "label" in columns else columns)
    lines = [
        [n, *voxel, *(FEATURES[column] or empty if n == 0 else empty for column in columns)]
        for n, voxel in enumerate(clicks.VOXELS[:7])
    ]
    header = ["index", "axis-0", "axis-1", "axis-2", *columns]
    path = writers.save_table(tmp_path_factory.mktemp("napari") / "a.kji.csv", header, lines)
    assert foreground(path, clicks.GRID) == [[10, 10, 10]]


@given(
    spacing=SPACINGS,
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    order=st.sampled_from(["kji", "ijk"]),
    has_origin=st.booleans(),
    in_name=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_layer_in_millimetres(tmp_path_factory, spacing, origin, order, has_origin, in_name):
    grid = grid_of(spacing, origin)
    if has_origin:
        numbers = grid.to_world(clicks.VOXELS) * (writers.RAS if order == "ijk" else 1)
    else:
        numbers = (clicks.VOXELS * spacing)[:, ::-1]
    numbers = numbers[:, ::-1] if order == "kji" else numbers
    folder = tmp_path_factory.mktemp("napari")
    path = writers.save_napari(folder / (f"a.{order}.mm.csv" if in_name else "a.csv"), numbers)
    if not in_name:
        (folder / "axes.txt").write_text(f"{order} mm", encoding="utf-8")
    try:
        found = foreground(path, grid)
    except PasegError as error:
        found = str(error)
    assert found == [[10, 10, 10], [15, 20, 21]] or "with its origin and without it: select the image" in found
    assert doubts(path, grid) == []


def test_millimetres_outside_the_image(tmp_path):
    path = writers.save_napari(tmp_path / "a.kji.mm.csv", [[1, 2, 300]])
    with pytest.raises(PasegError, match=r"kji\.mm\.csv: its numbers as millimetres are outside the image: select the"):
        read_points(path, grid_of((1.0, 2.0, 3.0)), ["tumor"])


@given(spacing=st.sampled_from([0.5, 0.7, 0.8, 0.9, 1.25]), shift=st.floats(0, 2))
@settings(max_examples=20, deadline=None)
def test_doubts_where_voxels_look_like_millimetres(tmp_path_factory, spacing, shift):
    grid = grid_of((spacing,) * 3, (shift * spacing,) * 3)
    folder = tmp_path_factory.mktemp("napari")
    path = writers.save_napari(folder / "a.kji.csv", clicks.VOXELS[:7] * spacing)
    assert foreground(path, grid) != [[10, 10, 10]]
    (doubt,) = doubts(path, grid)
    assert str(path) in doubt
    assert "look like millimetres of a points layer without scale" in doubt
    # Clicks on a slice of the image have one whole number at least: no doubt.
    clicked = clicks.VOXELS[:7] + np.array([0, 0.3, 0.4])
    assert doubts(writers.save_napari(folder / "b.kji.csv", clicked), grid) == []
    assert doubts(writers.save_napari(folder / "c.kji.csv", clicks.VOXELS[:7]), grid_of((2.0, 2.0, 2.0))) == []


@given(spacing=SPACINGS, far=st.integers(30, 10**6))
@settings(max_examples=20, deadline=None)
def test_voxels_outside_the_image_are_no_question_of_lps(tmp_path_factory, spacing, far):
    voxels = clicks.VOXELS[:7].copy()
    voxels[5, 2] = far
    path = writers.save_napari(tmp_path_factory.mktemp("napari") / "a.kji.csv", voxels)
    (instance,) = read_points(path, grid_of(spacing), ["tumor"])
    with pytest.raises(PasegError, match=r"outside the image: voxel .* Was the points layer made without") as caught:
        place_on_grid(instance, grid_of(spacing), {"tumor": 1})
    assert "LPS" not in str(caught.value)


def test_check_warns_about_millimetres(tmp_path):
    image = sitk.GetImageFromArray(np.arange(27000, dtype=np.int16).reshape(30, 30, 30))
    image.SetSpacing([0.8] * 3)
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    writers.save_napari(tmp_path / "a.kji.csv", clicks.VOXELS[:7] * 0.8)
    (report,) = check_folder(tmp_path, tmp_path, ["tumor"])
    assert report.problems == []
    assert "warning: " + report.warnings[0] in format_reports([report])
    assert "look like millimetres of a points layer without scale: select the image layer" in report.warnings[0]
