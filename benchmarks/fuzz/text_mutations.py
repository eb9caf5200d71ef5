"""Mutations of tables and of 3D Slicer's JSON, with a known right answer or of values."""

from __future__ import annotations

import copy
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.fuzz.point_files import Table, as_json

Rng = np.random.Generator

TOKENS = (
    *("nan", "inf", "-inf", "1e400", "1e308", "-0", "", " ", "9" * 400, "9" * 5000, "0x10", "1,5", "12_000", "--5"),
    *("None", "true", "NULL", "\x00", "a" * 200_000, "../..", "%s{}", "$x$", "١٢", "１２", "🧠", "fg", "bg 2", "tumor"),
)
NOT_PLACED = {"fcsv": ("0", "1", "3"), "": ("0", "0.0", "false", "FALSE", "no", "False")}
UNKNOWN_STATES = ("", "maybe", "7", "-1", "nan")
PLACED = {"fcsv": ("2",), "": ("1.0", "true", "TRUE", "yes", "True")}


@dataclass(frozen=True)
class Mutated:
    """Content of a mutated file.

    Attributes:
        kind: Kind of mutation, a row of the table of results.
        known: Whether only the original result or a message is right.
        data: Content.
        as_itk: Whether ITK's reading of the mutated file is right too.
    """

    kind: str
    known: bool
    data: bytes
    as_itk: bool = False


def pick(rng: Rng, choices: Any) -> Any:
    """Return one of several choices of any type."""
    return choices[int(rng.integers(len(choices)))]


def mutate_table(table: Table, rng: Rng) -> Mutated:
    """Mutate a table in one way."""
    ways: list[Callable[[Table, Rng], Mutated]] = [
        truncation,
        line_ends,
        delimiters,
        quoting,
        columns,
        header,
        encoding,
    ]
    ways += [states] if table.state else []
    return pick(rng, [*ways, *[cell_values] * 2, text_values, row_values])(table, rng)


def text_of(lines: list[str], end: str = "\n") -> bytes:
    """Return lines as the content of a file."""
    return "".join(line + end for line in lines).encode()


def truncation(table: Table, rng: Rng) -> Mutated:
    """Cut the file anywhere.

    A file that ends after a whole line, or within the last number of a line, can be a valid file of fewer points: such
    a cut has no known answer. Neither has the package's own header alone, which states that there is no target.
    """
    lines = table.lines()
    data = text_of(lines)
    cut = int(rng.integers(len(data)))
    head = len(text_of(lines[: len(lines) - len(table.rows)]))
    rows = data[head:cut].decode(errors="ignore").split("\n")
    *whole, last = rows
    is_valid = last.count(table.delimiter) >= len(table.columns) - 1 or (not last and bool(whole))
    if cut in (head - 1, head):
        is_valid = table.suffix == "csv" and "role" in table.columns
    return Mutated("truncation", not is_valid, data[:cut])


def line_ends(table: Table, rng: Rng) -> Mutated:
    """Change line ends, add empty lines or remove the last line end."""
    lines, way = table.lines(), int(rng.integers(7))
    if way < 2:
        return Mutated("line ends", True, text_of([line.replace("\r", "") for line in lines], ("\r\n", "\r")[way]))
    if way == 2:
        ends = [("\n", "\r\n")[int(rng.integers(2))] for _ in lines]
        return Mutated("line ends", True, "".join(a + b for a, b in zip(lines, ends, strict=True)).encode())
    if way == 3:
        return Mutated("line ends", True, text_of(lines).rstrip(b"\n"))
    if way == 4:
        lines.insert(int(rng.integers(len(lines) + 1)), pick(rng, ["", "  ", table.delimiter * 3]))
    elif way == 5:
        lines = [line + pick(rng, [" ", "\t"]) for line in lines]
    else:
        lines += [""] * int(rng.integers(1, 5))
    return Mutated("line ends", True, text_of(lines))


def delimiters(table: Table, rng: Rng) -> Mutated:
    """Change the delimiter, and in some files the decimal point."""
    new = pick(rng, [d for d in (";", "\t", ",", "|", " ") if d != table.delimiter])
    rows = table.rows
    if rng.integers(3) == 0:
        new = pick(rng, [new, table.delimiter])
        rows = tuple(tuple(re.sub(r"(?<=\d)\.(?=\d)", ",", cell) for cell in row) for row in rows)
    return Mutated("delimiters", True, text_of(replace(table, rows=rows, delimiter=new).lines()))


def quoting(table: Table, rng: Rng) -> Mutated:
    """Quote cells, or leave a quote open."""
    rows, way = [list(row) for row in table.rows], int(rng.integers(6))
    row, column = int(rng.integers(len(rows))), int(rng.integers(len(table.columns)))
    changed = table
    if way == 0:
        rows = [[f'"{cell}"' for cell in cells] for cells in rows]
    elif way == 1:
        rows = [[f'"{cell}"' if re.search("[^0-9.-]", cell) else cell for cell in cells] for cells in rows]
    elif way == 2:
        rows[row][column] = f'"{rows[row][column]}'
    elif way == 3:
        at = int(rng.integers(len(rows[row][column]) + 1))
        rows[row][column] = f'{rows[row][column][:at]}"{rows[row][column][at:]}'
    elif way == 4:
        rows = [[f"'{cell}'" for cell in cells] for cells in rows]
    else:
        changed = replace(table, columns=tuple(f'"{name}"' for name in table.columns))
    return Mutated("quoting", True, text_of(changed.with_rows(rows).lines()))


def columns(table: Table, rng: Rng) -> Mutated:
    """Drop, add, permute or rename columns or single cells."""
    names, rows = list(table.columns), [list(row) for row in table.rows]
    column, row, way = int(rng.integers(len(names))), int(rng.integers(len(rows))), int(rng.integers(9))
    known = True
    if way <= 1:
        # Without the names of its points, a file may be a valid file of different targets.
        known = (table.suffix == "csv" and "role" in names) or names[column] not in table.naming
        rows = [cells[:column] + cells[column + 1 :] for cells in rows]
        del names[column]
    elif way == 2:
        del names[column]
    elif way == 3:
        del rows[row][column]
    elif way == 4:
        rows[row].insert(column, pick(rng, ["", "1", "x"]))
    elif way == 5:
        order = rng.permutation(len(names)).tolist()
        rows = [[cells[index] for index in order] + cells[len(names) :] for cells in rows]
        names = [names[index] for index in order]
    elif way == 6:
        names[column] = names[(column + 1) % len(names)]
    elif way == 7:
        names = [*names[:column], "comment", *names[column:]]
        rows = [[*cells[:column], pick(rng, ["seen", "", "3"]), *cells[column:]] for cells in rows]
    else:
        names = [name.upper() if rng.integers(2) else f" {name} " for name in names]
    return Mutated("columns", known, text_of(replace(table, columns=tuple(names)).with_rows(rows).lines()))


def states(table: Table, rng: Rng) -> Mutated:
    """Add a point that is not placed, or spell the state of the placed points in a different way."""
    assert table.state is not None
    name, placed = table.state
    index = table.columns.index(name) if name in table.columns else len(table.columns)
    key = "fcsv" if table.suffix == "fcsv" else ""
    rows = [list(row) for row in table.rows]
    if rng.integers(3) == 0:
        spelled = pick(rng, PLACED[key])
        rows = [[*row[:index], spelled, *row[index + 1 :]] for row in rows]
    else:
        extra = list(pick(rng, rows))
        extra[index] = pick(rng, NOT_PLACED[key] + UNKNOWN_STATES)
        for column in table.coordinates:
            at = table.columns.index(column)
            extra[at] = f"{float(extra[at]) + rng.uniform(-9, 9):.3f}"
        rows.insert(int(rng.integers(len(rows) + 1)), extra)
    assert placed
    return Mutated("states", True, text_of(table.with_rows(rows).lines()))


def header(table: Table, rng: Rng) -> Mutated:
    """Change the lines above the points without changing their meaning, or remove one."""
    lines = table.lines()
    head = len(lines) - len(table.rows)
    way = int(rng.integers(5))
    if way == 0:
        del lines[int(rng.integers(head))]
    elif way == 1:
        lines.insert(int(rng.integers(head, len(lines))), lines[head - 1])
    elif way == 2:
        lines.insert(int(rng.integers(len(lines) + 1)), "# a comment")
    elif way == 3 and table.comments:
        spelled = {"0": "RAS", "1": "LPS", "RAS": pick(rng, ["0", "ras"]), "LPS": pick(rng, ["1", "lps"])}
        lines = [re.sub(r"(?<=CoordinateSystem = )\w+", lambda m: spelled[m[0]], line) for line in lines]
    else:
        lines = [re.sub(r"^# (\w+) = ", r"#\1=", line) for line in lines]
    return Mutated("header fields", True, text_of(lines))


def encoding(table: Table, rng: Rng) -> Mutated:
    """Change the encoding or the Unicode form."""
    return encoded("\n".join(table.lines()) + "\n", rng)


def encoded(text: str, rng: Rng) -> Mutated:
    """Return text in a different encoding or Unicode form."""
    choices = [b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), text.encode("latin-1"), text.encode() + b"\0\0"]
    choices.append(unicodedata.normalize("NFD", text).encode())
    return Mutated("encoding", True, pick(rng, choices))


def cell_values(table: Table, rng: Rng) -> Mutated:
    """Replace a cell by an unusual one, or change a coordinate."""
    rows = [list(row) for row in table.rows]
    for _ in range(int(rng.integers(1, 4))):
        row, column = int(rng.integers(len(rows))), int(rng.integers(len(table.columns)))
        rows[row][column] = pick(rng, [*TOKENS, f"{rng.normal() * 10.0 ** rng.integers(-5, 12):g}"])
    return Mutated("values", False, text_of(table.with_rows(rows).lines()))


def row_values(table: Table, rng: Rng) -> Mutated:
    """Remove, repeat or permute rows."""
    rows, row = list(table.rows), int(rng.integers(len(table.rows)))
    way = int(rng.integers(3))
    if way == 0:
        del rows[row]
    elif way == 1:
        rows.insert(row, pick(rng, rows))
    else:
        rows = [rows[index] for index in rng.permutation(len(rows)).tolist()]
    return Mutated("values", False, text_of(table.with_rows(rows).lines()))


def text_values(table: Table, rng: Rng) -> Mutated:
    """Change bytes of the file."""
    return Mutated("values", False, changed_bytes(text_of(table.lines()), rng))


def changed_bytes(data: bytes, rng: Rng) -> bytes:
    """Flip, remove, insert or repeat bytes."""
    content = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        at, size, way = int(rng.integers(len(content))), int(rng.integers(1, 20)), int(rng.integers(4))
        if way == 0:
            content[at] = int(rng.integers(256))
        elif way == 1 and len(content) > size + 1:
            del content[at : at + size]
        elif way == 2:
            content[at:at] = rng.bytes(size)
        else:
            content[at:at] = content[at : at + size]
    return bytes(content) or b"\0"


def mutate_json(content: dict[str, Any], rng: Rng) -> Mutated:
    """Mutate a ``.mrk.json`` file in one way."""
    text = as_json(content)
    way = int(rng.integers(9))
    if way == 0:
        data = text.encode()
        return Mutated("truncation", True, data[: int(rng.integers(len(data)))])
    if way == 1:
        compact = re.sub(r"\s*\n\s*", " ", text)
        ends = [text.replace("\n", "\r\n"), text.replace("\n", "\r"), compact, text + "\n\n"]
        return Mutated("line ends", True, pick(rng, ends).encode())
    if way == 2:
        return encoded(text, rng)
    if way == 3:
        at = int(rng.integers(len(text)))
        return Mutated("values", False, changed_bytes(text.encode(), rng) if at % 2 else _with_node(content, rng))
    if way <= 5:
        return Mutated("values", False, _with_node(content, rng))
    changed = copy.deepcopy(content)
    markup = changed["markups"][0]
    points = markup["controlPoints"]
    if way == 6:
        if rng.integers(4) == 0:
            for point in points:
                del point["positionStatus"]
        else:
            extra = copy.deepcopy(pick(rng, points))
            extra["positionStatus"] = pick(rng, ["undefined", "preview", "missing", "skipped", "unknown", "", 0, None])
            extra["position"] = pick(rng, [(np.array(extra["position"]) + rng.uniform(-9, 9, 3)).tolist(), "", []])
            points.insert(int(rng.integers(len(points) + 1)), extra)
        return Mutated("states", True, as_json(changed).encode())
    if way == 7:
        return Mutated("columns", True, as_json(_without_key(changed, rng)).encode())
    fields = [("coordinateUnits", ["mm", "UCUM", "millimeter"]), ("coordinateUnits", pick(rng, ["um", "cm", "", None]))]
    fields += [("type", pick(rng, ["Line", "Curve", "Plane", "fiducial", "", None, "PointList"]))]
    fields += [("locked", True), ("coordinateSystem", pick(rng, ["", "XYZ", None, 7]))]
    key, value = pick(rng, fields)
    markup[key] = value
    return Mutated("header fields", True, as_json(changed).encode())


def _without_key(content: dict[str, Any], rng: Rng) -> dict[str, Any]:
    """Return content without a key, or with reordered keys; keys that a valid file can lack and that matter stay."""
    markup = content["markups"][0]
    default_names = all(point["label"].startswith("F-") for point in markup["controlPoints"])
    way = int(rng.integers(4))
    if way == 0:
        del content[pick(rng, list(content))]
    elif way == 1:
        kept = ["coordinateSystem"] if markup["coordinateSystem"] == "RAS" else []
        del markup[pick(rng, [key for key in markup if key not in kept])]
    elif way == 2:
        point = pick(rng, markup["controlPoints"])
        del point[pick(rng, [key for key in point if key != "label" or default_names])]
    else:
        keys = rng.permutation(list(markup)).tolist()
        content["markups"] = [{"display": {"color": [1, 0, 0]}, **{key: markup[key] for key in keys}}]
    return content


def _with_node(content: dict[str, Any], rng: Rng) -> bytes:
    """Return the file with a value replaced by one of a different type or size."""
    changed = copy.deepcopy(content)
    node: Any = changed
    while True:
        key = pick(rng, list(node) if isinstance(node, dict) else range(len(node)))
        if not isinstance(node[key], (dict, list)) or not node[key] or rng.integers(8) == 0:
            break
        node = node[key]
    values = [
        None,
        True,
        False,
        [],
        {},
        "",
        "x" * 100_000,
        10**400,
        -1,
        1e308,
        float("nan"),
        [1, 2],
        {"a": 1},
        "1",
        2.5,
    ]
    node[key] = pick(rng, [*values, "@deep", [[0.0, 0.0, 0.0]], "tumor 2 bg"])
    return as_json(changed).replace('"@deep"', "[" * 100_000 + "]" * 100_000).encode()
