"""Tables of other tools: .fcsv, 3D Slicer's control-point tables, napari's points."""

import numpy as np
import pytest

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.napari import read_napari
from nnunet_paseg.points.formats.slicer_tables import read_fcsv, read_slicer_table
from nnunet_paseg.points.formats.table import read_table
from nnunet_paseg.points.grid import Grid
from tests.points.formats import writers

GRID = Grid((12, 16, 20), (3.0, 2.0, 1.0), (5.0, -7.0, 11.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
COLUMNS = f"# columns = {writers.FCSV_COLUMNS}"
LPS = f"# CoordinateSystem = LPS\n{COLUMNS}\n"
ROW = "1,1,2,3,0,0,0,1,1,1,0,F-1,,"


@pytest.mark.parametrize("system", ["LPS", "1", "RAS", "0"])
def test_fcsv_coordinate_systems(tmp_path, system):
    flip = 1 if system in ("LPS", "1") else writers.RAS
    path = tmp_path / "a.fcsv"
    path.write_text(f'# CoordinateSystem = {system}\n{COLUMNS}\n1,1,2,3,0,0,0,1,1,1,0,"a, b",,\n', encoding="utf-8")
    (mark,) = read_fcsv(path).points
    assert mark.position.tolist() == (np.array([1, 2, 3]) * flip).tolist()
    assert mark.label == "a, b"


def test_fcsv_points_that_were_not_placed_are_left_out(tmp_path):
    path = writers.save_fcsv(tmp_path / "a.fcsv", [[1, 2, 3], [4, 5, 6]])
    path.write_bytes(path.read_bytes().replace(b"2,0\n", b"0,0\n", 1))
    assert [mark.label for mark in read_fcsv(path).points] == ["F-2"]


def test_slicer_table_points_that_were_not_placed_are_left_out(tmp_path):
    header = ["label", "l", "p", "s", "defined"]
    path = writers.save_table(tmp_path / "a.csv", header, [["F-1", "", "", "", 0], ["F-2", 4, 5, 6, 1]])
    assert [(mark.label, mark.position.tolist()) for mark in read_slicer_table(read_table(path)).points] == [
        ("F-2", [4, 5, 6])
    ]


def test_napari_names_and_axes(tmp_path):
    header = ["index", "axis-0", "axis-1", "axis-2", "role", "instance", "class"]
    lines = [[0, 5, 8, 9, "fg", 2, "tumor"], [1, 1.4, 2, 3, "bg", 2, "tumor"], [2, 1, 2, 3, "", "3.0", ""]]
    path = writers.save_table(tmp_path / "a.csv", header, lines)
    (tmp_path / "axes.txt").write_text("KJI\n", encoding="utf-8")
    marks = read_napari(read_table(path), GRID).points
    assert [mark.label for mark in marks] == ["tumor fg", "tumor bg", ""]
    assert [mark.number for mark in marks] == [2, 2, 3]
    np.testing.assert_allclose(marks[1].position, [5 + 3, -7 + 2 * 2, 11 + 3 * 1.4])
    # What a file's own name says goes before what the folder says.
    marks = read_napari(read_table(path.rename(tmp_path / "a.ijk.csv")), GRID).points
    np.testing.assert_allclose(marks[0].position, [5 + 5, -7 + 2 * 8, 11 + 3 * 9])
    (tmp_path / "axes.txt").write_text("xyz", encoding="utf-8")
    path = writers.save_napari(tmp_path / "b.csv", [[1, 2, 3]])
    with pytest.raises(PasegError, match=r"axes\.txt contains 'xyz': write one word, ijk or kji"):
        read_napari(read_table(path), GRID)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.fcsv", f"{COLUMNS}\n{ROW}", r"a\.fcsv states no coordinate system: add the line"),
        ("a.fcsv", f"# CoordinateSystem = LPS\n{ROW}", r"a\.fcsv has no line '# columns = id,x,y,z"),
        ("a.fcsv", f"# CoordinateSystem = 2\n{COLUMNS}\n{ROW}", r"line 3: the coordinate system is '2': save"),
        (
            "a.fcsv",
            f"{LPS}# CoordinateSystem = RAS\n{ROW}",
            r"two different lines '# CoordinateSystem",
        ),
        ("a.fcsv", LPS + ROW.replace("2", ""), r"a\.fcsv, line 3: \['1', '', '3'\] are not three numbers: place"),
        ("a.fcsv", f"{LPS}1,1,2,3\n", r"a\.fcsv, line 3 has 4 cells instead of 14: save it again"),
        ("a.fcsv", f"{LPS}{ROW},7,0\n", r"a\.fcsv, line 3: the position status is '7', not one of \(0, 1, 2, 3\)"),
        ("a.fcsv", f"{LPS}{ROW},2,0\n{ROW}\n", r"a\.fcsv, line 4 has 14 cells instead of 16: save it again"),
        ("a.csv", "label,r,a,s\nF-1,1,2,inf\n", r"a\.csv, line 2: \['1', '2', 'inf'\] are not three numbers"),
        ("a.csv", "label,r,a,s\nF-1,1,2,1e400\n", r"a\.csv, line 2 has the coordinates \[1\.0, 2\.0, inf\]"),
        ("a.csv", "label,r,a,s\nF-1,1.5,2.5,34", r"line 2: the file ends without a line break, so '34' may be cut off"),
        (
            "a.csv",
            "label;l;p;s\nF-1;1,5;2.5;3\n",
            r"line 2: .*: both '\.' and ',' are decimal signs",
        ),
        ("a.tsv", "label\tr\ta\ts\nF-1\t1\t2", r"a\.tsv, line 2 has 3 cells instead of 4: save it again"),
        (
            "a.csv",
            'label,l,p,s\n"F-1,1,2,3\n',
            r"a\.csv, line 2 is not a row of a table \(.*\): check",
        ),
        ("a.csv", "label,l,p,s,defined\nF-1,1,2,3,maybe\n", r"line 2: 'defined' is 'maybe': write 1 \(placed\) or 0"),
        ("a.csv", "l,p,s\n1,2,3\n", r"a\.csv has the columns \['l', 'p', 's'\]: use label and l,p,s"),
        ("a.csv", "label,l,p,s,l\nF-1,1,2,3,4\n", r"a\.csv has two columns 'l': delete one of them"),
        ("a.csv", "label,l,p,s,\nF-1,1,2,3,4\n", r"a\.csv, line 2: '4' is in a column without a name: name it"),
        ("a.csv", "x;y;z\n1;2;3", r"a\.csv has the columns \['x', 'y', 'z'\], which match no format: use class,"),
        ("a.csv", "", r"a\.csv has the columns \[\], which match no format"),
        ("a.csv", "label,l,p,s\n", r"a\.csv contains no placed point: place some"),
        ("a.csv", "label,l,p,s\n" + "F,1,2,3\n" * 10001, r"a\.csv has more than 10000 rows, so it is not a point file"),
        ("a.csv", "index,axis-0,axis-1,axis-2\n0,1,2,3\n", r"from napari and .* the word kji .*axes\.txt.*a\.ijk"),
        ("a.kji.csv", "index,axis-0,axis-1\n0,1,2", r"points of a 3D image have index,axis-0,axis-1,axis-2"),
        ("a.kji.csv", "index,axis-0,axis-1,axis-2,axis-3\n0,1,2,3,4", r"points of a 3D image have index,axis-0"),
        ("a.kji.csv", "axis-0,axis-1,axis-2,instance\n1,2,3,x\n", r"line 2: the instance is 'x', not a whole number"),
        ("a.csv", "class,role\ntumor,fg", r"a\.csv lacks the columns \['instance', 'x_lps_mm'"),
        ("a.fcsv", b"\xff\xfe\x00", r"a\.fcsv is not text in UTF-8: save it again"),
        ("a.csv", b"label,l,p,s\nF\x00,1,2,3\n", r"a\.csv is not text in UTF-8: save it again"),
        ("a.csv", None, r"a\.csv cannot be read \(No such file"),
    ],
)
def test_bad_tables_are_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PasegError, match=message):
        read_points(tmp_path / name, GRID, ["tumor"])


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufefflabel,l,p,s\r\nF-1,1,2,3\r\n".encode())
    assert read_slicer_table(read_table(tmp_path / "a.csv")).points[0].position.tolist() == [1, 2, 3]


def test_a_shapes_layer_is_no_points_layer(tmp_path):
    header = "index,shape-type,vertex-index,axis-0,axis-1,axis-2"
    (tmp_path / "a.kji.csv").write_text(f"{header}\n0,path,0,1.0,2.0,3.0\n", encoding="utf-8")
    with pytest.raises(PasegError, match="is from a shapes layer of napari: click the points in a points layer"):
        read_points(tmp_path / "a.kji.csv", GRID, ["tumor"])


def test_named_status_columns_count(tmp_path):
    head, row = "# CoordinateSystem = LPS\n# columns = id,x,y,z,label,positionStatus\n", "{0},1,2,{0},F-{0},{1}\n"
    for placed, others in (("2", "013"), ("defined", ["undefined", "preview", "missing"])):
        rows = row.format(1, placed) + "".join(row.format(n, status) for n, status in enumerate(others, start=2))
        (tmp_path / "a.fcsv").write_text(head + rows, encoding="utf-8")
        assert [point.label for point in read_fcsv(tmp_path / "a.fcsv").points] == ["F-1"]
    (tmp_path / "a.csv").write_text(
        "label,l,p,s,positionStatus\nF-1,1,2,3,defined\nF-2,1,2,3,missing\n", encoding="utf-8"
    )
    assert [point.label for point in read_slicer_table(read_table(tmp_path / "a.csv")).points] == ["F-1"]
    (tmp_path / "a.csv").write_text("label,l,p,s,positionStatus\nF-1,1,2,3,perhaps\n", encoding="utf-8")
    with pytest.raises(PasegError, match=r"line 2: the position status is 'perhaps', not one of"):
        read_slicer_table(read_table(tmp_path / "a.csv"))
