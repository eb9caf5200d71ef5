from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance, place_on_grid

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Grid(shape=(10, 20, 30), spacing_mm=(3.0, 2.0, 1.0), origin=(5.0, -7.0, 11.0), direction=IDENTITY)
FACES = [[1, 8, 9], [8, 8, 9], [5, 3, 9], [5, 14, 9], [5, 8, 4], [5, 8, 20]]


def instance(foreground=((5, 8, 9),), background=FACES, class_name="tumor", grid=GRID):
    return Instance(class_name, grid.to_world(list(foreground)), grid.to_world(background))


@st.composite
def grids(draw):
    numbers = st.floats(-100, 100)
    rotation = Rotation.from_euler("xyz", [draw(st.floats(-3, 3)) for _ in range(3)]).as_matrix()
    order = draw(st.permutations([0, 1, 2]))
    return Grid(
        shape=(10, 20, 30),
        spacing_mm=tuple(draw(st.floats(0.1, 9)) for _ in range(3)),
        origin=tuple(draw(numbers) for _ in range(3)),
        direction=tuple(rotation[:, order].ravel()),
    )


@given(grids(), st.tuples(st.integers(0, 9), st.integers(0, 19), st.integers(0, 29)))
def test_world_and_voxel_are_inverse_on_oblique_and_permuted_grids(grid, voxel):
    assert grid.to_voxels(grid.to_world([voxel])).tolist() == [list(voxel)]


@given(grids(), st.tuples(*[st.floats(allow_nan=False)] * 3))
def test_points_however_far_away_are_outside_or_where_they_are(grid, point):
    voxel, indices = grid.to_voxels([point])[0], grid.to_indices([point])[0]
    if np.abs(indices).max() < 1e9:
        np.testing.assert_array_equal(voxel, np.rint(indices))
    else:
        assert ((voxel < 0) | (voxel >= grid.shape)).any()
    grid.to_world([point])


@given(grids(), st.tuples(st.integers(0, 9), st.integers(0, 19), st.integers(0, 29)))
def test_world_is_what_simpleitk_says(grid, voxel):
    image = sitk.Image(grid.shape[::-1], sitk.sitkUInt8)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    expected = image.TransformIndexToPhysicalPoint([int(index) for index in voxel[::-1]])
    np.testing.assert_allclose(grid.to_world([voxel])[0], expected, atol=1e-6)
    assert Grid.from_image(image).same_as(grid)


def test_box_leaves_out_the_planes_of_the_background_points():
    placed = place_on_grid(instance(), GRID, {"tumor": 3})
    assert placed.label == 3
    assert placed.box == (slice(2, 8), slice(4, 14), slice(5, 20))
    assert placed.foreground.tolist() == [[5, 8, 9]]


def test_box_keeps_the_image_border_where_the_target_touches_it():
    faces = [[0, 8, 9], [9, 8, 9], *FACES[2:]]
    assert place_on_grid(instance(background=faces), GRID, {"tumor": 1}).box[0] == slice(0, 10)


def test_further_background_points_lie_in_the_box():
    placed = place_on_grid(instance(background=[*FACES, [4, 9, 10], [0, 0, 0]]), GRID, {"tumor": 1})
    # [0, 0, 0] is now the outermost point; the faces beside it lie in the box, except on the outermost planes.
    assert placed.box == (slice(0, 8), slice(0, 14), slice(0, 20))
    assert placed.background.tolist() == [[1, 8, 9], [5, 3, 9], [5, 8, 4], [4, 9, 10]]


def test_points_on_the_border_are_not_certain_background():
    faces = [[0, 8, 9], [9, 8, 9], *FACES[2:], [1, 8, 9]]
    assert place_on_grid(instance(background=faces), GRID, {"tumor": 1}).background.tolist() == [[1, 8, 9]]


def test_ends_of_the_target_lie_inside_the_faces_beside_their_points():
    placed = place_on_grid(instance(), GRID, {"tumor": 1})
    # The box is 2..7, 4..13, 5..19; clicks are one to three voxels outside, so an end is one voxel further in.
    assert placed.extremes.tolist() == [[3, 8, 9], [6, 8, 9], [5, 5, 9], [5, 12, 9], [5, 8, 6], [5, 8, 18]]


def test_ends_at_the_image_border_are_on_it():
    faces = [[0, 8, 9], [9, 8, 9], *FACES[2:]]
    extremes = place_on_grid(instance(background=faces), GRID, {"tumor": 1}).extremes
    assert extremes[:2].tolist() == [[0, 8, 9], [9, 8, 9]]


def test_corners_of_a_box_say_nothing_of_where_the_target_ends():
    placed = place_on_grid(instance(background=[[1, 3, 4], [8, 14, 20]]), GRID, {"tumor": 1})
    assert placed.box == place_on_grid(instance(), GRID, {"tumor": 1}).box
    assert placed.extremes.shape == (0, 3)


def test_an_image_of_a_single_slice_has_four_faces():
    grid = Grid((1, 30, 40), (5.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    clicks = [(0, 4, 20), (0, 25, 20), (0, 15, 5), (0, 15, 35), (0, 10, 12)]
    placed = place_on_grid(Instance("tumor", grid.to_world([(0, 15, 20)]), grid.to_world(clicks)), grid, {"tumor": 1})
    assert placed.box == (slice(0, 1), slice(5, 25), slice(6, 35))
    assert placed.extremes.tolist() == [[0, 6, 20], [0, 23, 20], [0, 15, 7], [0, 15, 33]]
    assert placed.background.tolist() == [[0, 10, 12]]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (instance(class_name="lesion"), r"'lesion' is not among the dataset's classes \['tumor'\]"),
        (instance(foreground=[]), "no foreground point: click at least one"),
        (instance(foreground=[(5, 8, 40)]), r"lies outside the image.*voxel \[5, 8, 40\].*Are LPS and RAS swapped"),
        (instance(foreground=[(5, 8, 21)]), r"do not enclose its foreground point: voxel \[5, 8, 21\]"),
        (instance(background=[*FACES, (5, 8, 9)]), r"are the same voxel \[5, 8, 9\] \(z, y, x\): delete one"),
        (instance(background=[]), "Click one background point just outside each of the six faces"),
    ],
)
def test_bad_points_are_refused(bad, message):
    with pytest.raises(PasegError, match=message):
        place_on_grid(bad, GRID, {"tumor": 1})


def test_points_that_are_not_finite_are_refused():
    with pytest.raises(PasegError, match="a background point is not finite"):
        Instance("tumor", np.zeros((1, 3)), np.array([[np.nan, 0, 0]]))


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(PasegError, match=r"Cannot read the image .*nowhere\.nii\.gz: it is missing"):
        Grid.from_file(tmp_path / "nowhere.nii.gz")


def test_an_image_that_is_not_3d_is_refused():
    with pytest.raises(PasegError, match="Expected a 3D image, got 2 dimensions"):
        Grid.from_image(sitk.Image([4, 4], sitk.sitkUInt8))


@given(
    size=st.floats(-3, 1).map(lambda digits: 10**digits),
    ratios=st.tuples(*[st.floats(0.5, 4)] * 3),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    shift=st.tuples(*[st.floats(-0.05, 0.05)] * 3),
    axis=st.integers(0, 2),
    apart=st.one_of(st.floats(0.2, 500), st.floats(-500, -0.2)),
)
def test_equal_grids_are_equal_in_voxels_from_a_micrometre_to_a_centimetre(
    size, ratios, origin, angles, shift, axis, apart
):
    rotation = Rotation.from_euler("xyz", angles).as_matrix()
    spacing = tuple(size * ratio for ratio in ratios)
    # At 1 µm a header in single precision, 300 mm from the world's origin, has steps of 0.03 voxels.
    grid = Grid((10, 20, 30), spacing, tuple(np.float32(origin).tolist()), tuple(np.float32(rotation).ravel().tolist()))
    near = replace(grid, origin=tuple(np.float32(grid.to_world(shift)[0]).tolist()))
    assert grid.same_as(near)
    assert near.same_as(grid)
    far = replace(grid, origin=tuple(grid.to_world(np.eye(3)[axis] * apart)[0].tolist()))
    assert not grid.same_as(far)
    assert not far.same_as(grid)
    assert not grid.same_as(replace(grid, spacing_mm=tuple(np.multiply(spacing, np.where(np.eye(3)[axis], 1.03, 1)))))


def test_grids_that_differ_are_not_the_same():
    moved = Grid(GRID.shape, GRID.spacing_mm, (5.0, -7.0, 11.5), GRID.direction)
    assert not GRID.same_as(moved)
    assert not GRID.same_as(Grid((10, 20, 31), GRID.spacing_mm, GRID.origin, GRID.direction))
