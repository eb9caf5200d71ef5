"""Outer points that are called left, right, and so on."""

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_paseg.checking.check import check_folder
from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.annotation import PLACES
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.grid import Grid
from tests.conftest import write_image
from tests.points.formats import writers

CENTRE = np.array([20.0, 20, 20])
AROUND = {
    "inside": [0, 0, 0],
    "left": [4, 1, -1],
    "right": [-4, 0, 1],
    "anterior": [1, -4, 0],
    "posterior": [0, 4, 1],
    "inferior": [-1, 0, -4],
    "superior": [0, 1, 4],
}
STRAIGHT = np.eye(3)
# Rotated by 30 degrees about the z axis, with the x axis to the right.
OBLIQUE = np.array([[-0.5 * 3**0.5, -0.5, 0], [-0.5, 0.5 * 3**0.5, 0], [0, 0, 1]])


def grid_of(axes, size=40):
    centre = CENTRE - axes @ np.full(3, size / 2)
    return Grid((size,) * 3, (1.0, 1.0, 1.0), tuple(centre.tolist()), tuple(axes.ravel().tolist()))


def save(path, axes=STRAIGHT, names=None, system="LPS"):
    """Points on the sides along the axes of an image: its x axis may run to the left or to the right."""
    towards = axes * np.sign(np.diag(axes))
    positions = [CENTRE + towards @ np.array(AROUND[place]) for place in PLACES]
    labels = [f"tumor 1 {'in' if name == 'inside' else f'out {name}'}" for name in names or PLACES]
    return writers.save_markups(path, writers.point_list(positions, labels, system=system))


@pytest.mark.parametrize("axes", [STRAIGHT, OBLIQUE, STRAIGHT * [-1, -1, 1]])
@pytest.mark.parametrize("system", ["LPS", "RAS"])
def test_sides_are_those_of_the_patient(tmp_path, axes, system):
    (target,) = read_points(save(tmp_path / "a.mrk.json", axes, system=system), grid_of(axes), ["tumor"])
    assert (len(target.foreground), len(target.background)) == (1, 6)


@pytest.mark.parametrize("axes", [STRAIGHT, OBLIQUE])
@pytest.mark.parametrize("pair", [("left", "right"), ("anterior", "posterior"), ("inferior", "superior")])
def test_exchanged_points_are_named(tmp_path, axes, pair):
    one, other = pair
    names = [{one: other, other: one}.get(name, name) for name in PLACES]
    with pytest.raises(PasegError) as error:
        read_points(save(tmp_path / "a.mrk.json", axes, names), grid_of(axes), ["tumor"])
    number = PLACES.index(one) + 1
    first, second = f"point {number} 'tumor 1 out {other}'", f"point {number + 1} 'tumor 1 out {one}'"
    assert f"{first} is 4 voxels {one} of a point inside its target" in str(error.value)
    assert f"{second} is 4 voxels {other} of a point inside its target: move the point" in str(error.value)


def test_every_point_inside_counts(tmp_path):
    positions = np.array([*AROUND.values(), [6, 0, 0]]) + CENTRE
    labels = ["tumor 1 in", *(f"tumor 1 {name}" for name in PLACES[1:]), "tumor 1 fg"]
    path = writers.save_markups(tmp_path / "a.mrk.json", writers.point_list(positions, labels))
    with pytest.raises(PasegError, match=r"point 2 'tumor 1 left' is 2 voxels right of a point inside its target: mo"):
        read_points(path, grid_of(STRAIGHT), ["tumor"])


def test_sides_show_swapped_axes_that_coordinates_do_not(tmp_path):
    grid = Grid((40,) * 3, (1.0, 1.0, 1.0), (-20.0, -20.0, -20.0), tuple(STRAIGHT.ravel().tolist()))
    image = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    write_image(image, tmp_path / "images" / "a.nii.gz", (1, 1, 1))
    read = sitk.ReadImage(str(tmp_path / "images" / "a.nii.gz"))
    read.SetOrigin(grid.origin)
    sitk.WriteImage(read, str(tmp_path / "images" / "a.nii.gz"))
    (tmp_path / "points").mkdir()
    positions = np.array([[5.0, 4, 3]]) + [AROUND[place] for place in PLACES]
    labels = ["in", *(f"out {name}" for name in PLACES[1:])]
    content = writers.point_list(positions * [-1, -1, 1], labels)
    writers.save_markups(tmp_path / "points" / "a.mrk.json", content)
    (report,) = check_folder(tmp_path / "images", tmp_path / "points", ["tumor"])
    assert "LPS and RAS are swapped" in report.problems[0]
    assert report.swapped is not None
