import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.csv import HEADER, read_csv, write_csv
from nnunet_paseg.points.instance import Instance
from tests.points.formats.clicks import GRID

points = st.lists(st.tuples(*[st.floats(-1e4, 1e4).map(lambda v: round(v, 4))] * 3), min_size=1, max_size=7)
names = st.text("abcö -_,\"'", min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(st.tuples(names, points, points), min_size=1, max_size=4))
def test_round_trip(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("csv") / "case.csv"
    write_csv([Instance(name, np.array(inside), np.array(outside)) for name, inside, outside in written], path)
    read = read_csv(path)
    assert [instance.class_name for instance in read] == [name for name, _, _ in written]
    for instance, (_, inside, outside) in zip(read, written, strict=True):
        np.testing.assert_allclose(instance.foreground, inside, atol=1e-4)
        np.testing.assert_allclose(instance.background, outside, atol=1e-4)


@given(st.integers(-6, 4), st.tuples(*[st.floats(-1e4, 1e4)] * 3))
def test_every_digit_is_kept_from_nanometres_to_metres(tmp_path_factory, exponent, numbers):
    points = np.array([numbers]) * 10.0**exponent
    path = tmp_path_factory.mktemp("csv") / "case.csv"
    write_csv([Instance("tumor", points, points[:0])], path)
    assert read_csv(path)[0].foreground.tolist() == points.tolist()
    assert "e" not in path.read_text(encoding="utf-8").splitlines()[1].removeprefix("tumor,1,foreground,")


def test_classes_are_spelled_as_in_the_dataset(tmp_path):
    path = tmp_path / "case.csv"
    write_csv([Instance(unicodedata.normalize("NFD", "left Ödem"), np.ones((1, 3)), np.zeros((0, 3)))], path)
    assert read_points(path, GRID, ["kidney", "Left_ödem"])[0].class_name == "Left_ödem"


def test_the_header_says_what_the_columns_hold(tmp_path):
    write_csv([Instance("tumor", np.array([[1.5, -2, 3]]), np.zeros((0, 3)))], tmp_path / "case.csv")
    assert (tmp_path / "case.csv").read_text(encoding="utf-8").splitlines() == [
        "class,instance,role,x_lps_mm,y_lps_mm,z_lps_mm",
        "tumor,1,foreground,1.5000,-2.0000,3.0000",
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["x,y,z", "1,2,3"], r"case\.csv lacks the columns \['class', 'instance', 'role', 'x_lps_mm'"),
        ([",".join(HEADER), "tumor,1,inside,1,2,3"], r"case\.csv, line 2: the role is 'inside', not one of"),
        ([",".join(HEADER), "tumor,1,foreground,1,2,here"], r"line 2: \['1', '2', 'here'\] are not three numbers"),
        ([",".join(HEADER), "tumor,1,foreground,1,2"], r"line 2 has 5 cells instead of 6: save it again"),
        ([",".join(HEADER), "tumor,1,foreground,1,2,nan"], r"line 2: \['1', '2', 'nan'\] are not three numbers"),
    ],
)
def test_bad_files_are_refused(tmp_path, lines, message):
    path = tmp_path / "case.csv"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    with pytest.raises(PasegError, match=message):
        read_csv(path)
