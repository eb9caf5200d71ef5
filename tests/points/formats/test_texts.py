"""The same points in any spelling of a text: delimiters, quotation marks, decimal signs, line ends, encodings."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.csv import HEADER
from tests.points.formats import clicks

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")


def cells_of(path):
    """Comment lines and rows of cells of a table file."""
    lines = path.read_bytes().decode().replace("\r\n", "\n").replace("\r", "").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    rows = [line for line in lines if not line.startswith("#")]
    return comments, list(csv.reader(rows, delimiter="\t" if path.suffix == ".tsv" else ","))


def is_decimal(cell):
    return cell.replace(".", "", 1).lstrip("-").isdigit() and "." in cell


@given(
    name=st.sampled_from(clicks.TABLES),
    delimiter=st.sampled_from(",;\t|"),
    decimal=st.sampled_from(".,"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1, max_size=3),
    encoding=st.sampled_from(ENCODINGS),
    upper=st.booleans(),
    empty_lines=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_spelling(tmp_path_factory, name, delimiter, decimal, quoting, ends, encoding, upper, empty_lines):
    path = clicks.FILES[name](tmp_path_factory.mktemp("texts") / name)
    comments, rows = cells_of(path)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    for number, row in enumerate(rows):
        is_header = number == 0 and not comments
        writer.writerow(
            [
                (cell.upper() if upper else cell)
                if is_header
                else cell.replace(".", decimal)
                if is_decimal(cell)
                else cell
                for cell in row
            ]
        )
    comments = [c.replace(",", delimiter) if "columns" in c else c for c in comments]
    lines = [*comments, *text.getvalue().splitlines()]
    lines = [line for line in lines for line in ([line, ""] if empty_lines else [line])]
    whole = "".join(line + ends[number % len(ends)] for number, line in enumerate(lines))
    path.write_bytes(whole.encode(encoding))
    assert clicks.read(path) == clicks.EXPECTED


@given(name=st.sampled_from(list(clicks.FILES)), part=st.floats(0, 1, exclude_max=True))
@settings(max_examples=80, deadline=None)
def test_a_file_that_is_cut_off_never_loses_a_digit(tmp_path_factory, name, part):
    path = clicks.FILES[name](tmp_path_factory.mktemp("texts") / name)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    found = clicks.read(path)
    if isinstance(found, str) or found == clicks.EXPECTED:
        return
    # Cut off between two lines: whole targets, or the statement that there is none.
    lines = content.decode().replace("\r", "").split("\n")
    kept = path.read_bytes().decode().replace("\r", "").rstrip("\n").split("\n")
    assert kept == lines[: len(kept)]
    assert all(target in clicks.EXPECTED or name == "own.csv" for target in found)


@given(name=st.sampled_from(clicks.TABLES), column=st.integers(0, 8), row=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_a_cell_that_is_missing_is_noticed(tmp_path_factory, name, column, row):
    path = clicks.FILES[name](tmp_path_factory.mktemp("texts") / name)
    comments, rows = cells_of(path)
    cells = rows[row % len(rows)]
    del cells[column % len(cells)]
    delimiter = "\t" if path.suffix == ".tsv" else ","
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    path.write_text("".join(f"{line}\n" for line in comments) + text.getvalue(), encoding="utf-8")
    assert isinstance(clicks.read(path), str)


def test_only_the_own_header_states_that_there_is_no_target(tmp_path):
    path = tmp_path / "own.csv"
    for text in (",".join(HEADER), ";".join(HEADER) + "\r\n", f"sep=,\n{','.join(HEADER)}\n\n,,,,,\n"):
        path.write_bytes(text.encode())
        assert read_points(path, clicks.GRID, ["tumor"]) == []


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.fcsv", "a.kji.csv", "a.mrk.json"])
def test_any_other_text_without_points_is_rejected(tmp_path, name):
    path = clicks.FILES[name](tmp_path / name)
    if name == "a.mrk.json":
        path.write_text('{"markups": []}', encoding="utf-8")
    else:
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: 3 if name == "a.fcsv" else 1]))
    assert "contains no placed point: place some. If the case has no target" in clicks.read(path)


def test_a_table_of_pandas_and_one_of_excel(tmp_path):
    (tmp_path / "a.csv").write_text("sep=;\n;label;l;p;s\n0;F-1;1,5;2;3\n1;F-2;4;5;6\n", encoding="utf-8")
    assert "points of class 'tumor'" in clicks.read(tmp_path / "a.csv")  # read, but two points are no target


@pytest.mark.parametrize("second", ["F.fcsv", "F.csv", "F Copy.mrk.json"])
def test_a_list_that_was_saved_twice_is_refused(tmp_path, second):
    clicks.FILES["a.mrk.json"](tmp_path / "F.mrk.json")
    assert clicks.read(tmp_path) == clicks.EXPECTED
    clicks.FILES["a" + second[second.index(".") :]](tmp_path / second)
    with pytest.raises(PasegError, match=r"has the same points as .*: remove one of the two files"):
        read_points(tmp_path, clicks.GRID, ["tumor"])
