import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.csv import HEADER, read_csv, write_csv
from nnunet_paseg.points.instance import Instance

points = st.lists(st.tuples(*[st.floats(-1e4, 1e4).map(lambda v: round(v, 4))] * 3), min_size=1, max_size=7)
names = st.text("abcö -_,\"'", min_size=1, max_size=8)


@given(st.lists(st.tuples(names, points, points), min_size=1, max_size=4))
def test_round_trip(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("csv") / "case.csv"
    write_csv([Instance(name, np.array(inside), np.array(outside)) for name, inside, outside in written], path)
    read = read_csv(path)
    assert [instance.class_name for instance in read] == [name for name, _, _ in written]
    for instance, (_, inside, outside) in zip(read, written, strict=True):
        np.testing.assert_allclose(instance.foreground, inside, atol=1e-4)
        np.testing.assert_allclose(instance.background, outside, atol=1e-4)


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
        ([",".join(HEADER), "tumor,1,foreground,1,2"], r"line 2: \['1', '2', None\] are not three numbers"),
        ([",".join(HEADER), "tumor,1,foreground,1,2,nan"], "a foreground point is not finite"),
    ],
)
def test_bad_files_are_refused(tmp_path, lines, message):
    path = tmp_path / "case.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(PasegError, match=message):
        read_csv(path)
