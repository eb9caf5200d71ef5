import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import Box, ControlPoint, Markups
from nnunet_paseg.points.formats.targets import find_targets
from nnunet_paseg.points.grid import Grid

GRID = Grid((30, 30, 30), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
FACES = np.array([[-4, 0, 1], [4, 1, 0], [0, -4, 1], [1, 4, 0], [0, 1, -4], [1, 0, 4]])


def seven(middle, names=None, list_name=""):
    """Six points around one, in the order of FACES, and that one."""
    positions = np.concatenate([FACES, [[0, 0, 0]]]) + middle
    names = names or [""] * 7
    return [
        ControlPoint(position.astype(float), name, list_name, f"a.fcsv, point {number}")
        for number, (position, name) in enumerate(zip(positions, names, strict=True), start=1)
    ]


def targets(*marks, classes=("tumor",), boxes=(), grid=GRID):
    found = find_targets(Markups(list(marks), list(boxes)), grid, classes, case="a")
    return [(i.class_name, i.foreground.tolist(), len(i.background)) for i in found]


def box(middle, name="", size=8.5):
    return Box(np.array(middle, dtype=float), np.eye(3), np.full(3, size), name, "a.mrk.json, markup 1")


def test_the_enclosed_point_is_the_foreground_one():
    assert targets(*seven(10)) == [("tumor", [[10, 10, 10]], 6)]


def test_sevens_are_targets_of_their_own():
    assert targets(*seven(10), *seven(20)) == [("tumor", [[10] * 3], 6), ("tumor", [[20] * 3], 6)]


def test_one_name_a_target_is_enough():
    first = seven(10, ["tumor", *(f"F-{n}" for n in range(2, 8))])
    second = seven(20, ["edema 2", *(f"F-{n}" for n in range(9, 15))])
    third = seven(12, ["edema", *(f"F-{n}" for n in range(16, 22))])
    assert targets(*first, *second, *third, classes=("tumor", "edema")) == [
        ("tumor", [[10] * 3], 6),
        ("edema", [[20] * 3], 6),
        ("edema", [[12] * 3], 6),
    ]


def test_names_of_lists_count_where_the_points_say_nothing():
    first = seven(10, [f"tumor-{n}" for n in range(1, 8)], "tumor")
    second = seven(20, [f"tumor 2-{n}" for n in range(1, 8)], "tumor 2")
    assert len(targets(*first, *second)) == 2
    # Renamed after the points were placed: the labels still say F.
    third = seven(12, [f"F-{n}" for n in range(1, 8)], "edema")
    assert [name for name, _, _ in targets(*first, *third, classes=("tumor", "edema"))] == ["tumor", "edema"]


def test_a_tool_that_counts_on_does_not_end_a_target():
    names = ["tumor 2", *(f"tumor-{n}" for n in range(2, 8))]
    assert targets(*seven(10, names, "tumor"), *seven(20, None, "tumor 2")) == [
        ("tumor", [[10] * 3], 6),
        ("tumor", [[20] * 3], 6),
    ]


def test_lists_for_inside_and_outside():
    marks = seven(10)
    inside = [ControlPoint(np.array([10.0, 10, 9 + n]), "", "tumor fg", "") for n in range(3)]
    outside = [ControlPoint(mark.position, "", "tumor bg", "") for mark in marks[:6]]
    assert targets(*inside, *outside) == [("tumor", [[10, 10, 9], [10, 10, 10], [10, 10, 11]], 6)]


@pytest.mark.parametrize("names", [["", "", "", "", "", "", "fg"], ["bg"] * 6 + [""], ["out"] * 6 + ["in"]])
def test_one_role_says_the_other(names):
    extra = [ControlPoint(np.array([10.0, 10, 12]), names[0], "", "")]
    (target,) = targets(*seven(10, names), *extra)
    assert target == ("tumor", [[10, 10, 10]], 7)


def test_a_target_at_the_border_and_one_in_a_single_slice():
    moved = [ControlPoint(np.maximum(mark.position, 0), "", "", mark.where) for mark in seven((2, 10, 10))]
    assert targets(*moved) == [("tumor", [[2, 10, 10]], 6)]
    flat = Grid((1, 30, 30), GRID.spacing_mm, GRID.origin, GRID.direction)
    marks = [ControlPoint(mark.position, "", "", "") for middle in (8, 20) for mark in seven((middle, middle, 0))]
    marks = [mark for mark in marks if abs(mark.position[2]) < 4]
    in_plane = [ControlPoint(mark.position * [1, 1, 0], "", "", "") for mark in marks]
    assert [target[1] for target in targets(*in_plane, grid=flat)] == [[[8, 8, 0]], [[20, 20, 0]]]


def test_boxes_take_the_points_inside():
    points = [ControlPoint(np.array([m, m, m + n], dtype=float), "F-1", "F", "") for m in (20, 10) for n in (0, 1)]
    found = targets(*points, boxes=[box((10, 10, 10), "R"), box((20, 20, 20), "R_1")])
    assert found == [
        ("tumor", [[10, 10, 10], [10, 10, 11]], 2),
        ("tumor", [[20, 20, 20], [20, 20, 21]], 2),
    ]


def test_a_box_names_its_points():
    points = [ControlPoint(np.array([10.0] * 3), "F-1", "F", ""), ControlPoint(np.array([11.0] * 3), "bg", "F", "")]
    found = targets(
        *points, *seven(20, ["tumor", *[""] * 6]), classes=("tumor", "edema"), boxes=[box([10] * 3, "Edema")]
    )
    assert found == [("edema", [[10] * 3], 3), ("tumor", [[20] * 3], 6)]


AROUND_ALL = "either the box or the points around it may mark the target: remove the one that does not, or add 'fg' to"


@given(
    middle=st.tuples(*[st.integers(6, 22)] * 3),
    margin=st.floats(0.5, 30),
    order=st.permutations(range(7)),
    dropped=st.integers(0, 7),
    is_named=st.booleans(),
)
def test_a_box_around_the_clicks_does_not_make_them_foreground(middle, margin, order, dropped, is_named):
    points = seven(np.array(middle), ["F-1"] * 6 + ["fg" if is_named else "F-7"])
    points = [points[n] for n in order if n != dropped]
    with pytest.raises(PasegError, match=AROUND_ALL):
        targets(*points, boxes=[box(middle, "Crop Volume ROI", size=8 + margin)])


def test_a_box_around_two_clicked_targets():
    with pytest.raises(PasegError, match=AROUND_ALL):
        targets(*seven(10), *seven(20), boxes=[box([15] * 3, "R", size=40)])
    named = seven(10, ["bg"] * 6 + ["fg"])
    with pytest.raises(
        PasegError, match="outer points of its own, so either the box or these points may mark its faces"
    ):
        targets(*named, boxes=[box([10] * 3, "R", size=12)])
    # Further background points in a box do not enclose the foreground point.
    assert targets(*named[:3], named[6], boxes=[box([10] * 3, "R", size=12)]) == [("tumor", [[10] * 3], 5)]


def test_an_unnamed_box_around_named_targets_takes_none_of_them():
    points = [*seven(10, ["tumor bg"] * 6 + ["tumor fg"]), *seven(20, ["edema bg"] * 6 + ["edema fg"])]
    with pytest.raises(PasegError, match=r"contains points of several targets, .*: remove the box, or name it after"):
        targets(*points, boxes=[box([15] * 3, "Crop Volume ROI", size=40)], classes=("tumor", "edema"))
    assert len(targets(*points, classes=("tumor", "edema"))) == 2


def test_numbers_after_roles_that_count_targets_are_refused():
    first, second = seven(10, ["bg1"] * 6 + ["fg1"]), seven(20, ["bg2"] * 6 + ["fg2"])
    with pytest.raises(PasegError, match="the numbers after fg and bg are the same for several points"):
        targets(*first, *second)
    lists = [*seven(10, ["F-1"] * 7, "bg")[:6], *seven(20, ["F-1"] * 7, "bg_1")[:6]]
    inner = [seven(10, ["F-1"] * 7, "fg")[6], seven(20, ["F-1"] * 7, "fg_1")[6]]
    with pytest.raises(PasegError, match="the numbers after fg and bg are the same for several points"):
        targets(*lists, *inner)
    assert targets(*seven(10, [*(f"bg{n}" for n in range(1, 7)), "fg1"])) == [("tumor", [[10] * 3], 6)]
    assert targets(*first) == [("tumor", [[10] * 3], 6)]


@given(st.sampled_from(["tumor", "edema"]), st.sampled_from([" ", "_", ""]), st.permutations(range(1, 8)))
def test_numbers_of_single_points_are_not_taken_for_targets(name, space, numbers):
    points = seven(10, [f"{name}{space}{n}" for n in numbers])
    with pytest.raises(PasegError, match=rf"these 7 names are numbers of targets, .* hyphen before them \('{name}-1'"):
        targets(*points, classes=("tumor", "edema"))
    # Another class is complete; the numbers are still counts.
    with pytest.raises(PasegError, match="numbers of targets"):
        targets(*seven(20, ["liver", *[""] * 6]), *points, classes=("tumor", "edema", "liver"))
    assert targets(*seven(10, [f"{name}-{n}" for n in numbers]), classes=("tumor", "edema"))[0][0] == name


def test_corners_of_a_box_are_the_voxels_just_outside():
    corners = GRID.to_voxels(Box(np.array([10.0, 10.5, 0]), np.eye(3), np.array([4, 5.2, 6]), "", "").corners(GRID))
    # z: -3..3, beyond the border; y: 7.9..13.1; x: 8..12, exactly at voxel centres.
    assert corners.min(axis=0).tolist() == [0, 7, 8]
    assert corners.max(axis=0).tolist() == [3, 14, 12]


@pytest.mark.parametrize(
    ("marks", "options", "message"),
    [
        (
            seven(10),
            {"classes": ("tumor", "edema")},
            r"a\.fcsv, point 1 has no class name, and the dataset has 2 classes: name it",
        ),
        (seven(10)[:6], {}, r"point 1 to .*point 6: of these 6 points of class 'tumor' one should be .* but none is"),
        ([*seven(10), *seven(10)[6:]], {}, r"of these 8 points .* but 2 \(a\.fcsv, point 7, a\.fcsv, point 7\) is"),
        (seven(10, ["fg", "bg", *[""] * 5]), {}, r"point 3 has no role, while others of its target are fg and bg: add"),
        (seven(10)[:1], {}, r"of these 1 points .* but none is\. Click one point inside"),
        ([], {"boxes": [box([10] * 3, "tumor")]}, r"markup 1 'tumor' contains no foreground point: click at least one"),
        (seven(10), {"boxes": [box([10] * 3), box([11] * 3)]}, r"point 2 is in two boxes, .*'tumor 1' and 'tumor 2'"),
        (seven(50)[6:], {"boxes": [box([50] * 3)]}, r"markup 1 is outside the image: check the image, and whether LPS"),
    ],
)
def test_what_cannot_be_told_is_refused(marks, options, message):
    with pytest.raises(PasegError, match=message):
        targets(*marks, **options)


def test_marks_and_boxes_must_be_finite():
    with pytest.raises(PasegError, match=r"point 3 'F-3' has the coordinates \[0\.0, nan, 0\.0\]: place it again"):
        ControlPoint(np.array([0, np.nan, 0]), "F-3", "", "a.fcsv, point 3")
    with pytest.raises(PasegError, match=r"markup 1 'R': a box needs a centre and three positive sizes, got \[0"):
        box([1, 2, 3], "R", size=0)
    with pytest.raises(PasegError, match=r"orientation \[2\.0, 0\.0.* is not a rotation"):
        Box(np.zeros(3), 2 * np.eye(3), np.ones(3), "R", "")
