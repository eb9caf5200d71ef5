"""napari's points layers, ``.csv``: voxel indices, in an axis order that the file does not contain.

napari shows an array in the order of its reader: ``ijk`` (x, y, z, nibabel) or ``kji`` (z, y, x, SimpleITK and
scikit-image). The order is stated in the file's name, ``{case}.kji.csv``, or for the whole folder in a file
``axes.txt`` of one word.
"""

from __future__ import annotations

from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import ControlPoint, Markups, point_at
from nnunet_paseg.points.formats.text import coordinates, read_text, rows
from nnunet_paseg.points.grid import Grid

AXES = ("axis-0", "axis-1", "axis-2")
ORDERS = ("ijk", "kji")
ORDER_FILE = "axes.txt"
NAME_COLUMNS = ("class", "label", "name")


def read_napari(path: Path, grid: Grid) -> Markups:
    """Read the points of a points layer, named by columns called label, class, name, instance or role.

    Raises:
        PasegError: The layer is not 3D, the axis order is not stated, or a coordinate is not a number.
    """
    header, lines = rows(read_text(path))
    if not set(AXES) <= set(header) or "axis-3" in header:
        raise PasegError(f"{path} has the columns {header}; points of a 3D image have index,axis-0,axis-1,axis-2.")
    order = _order(path)
    markups = Markups(in_world=False)
    for number, (_, row) in enumerate(lines, start=1):
        where = point_at(path, number)
        index = coordinates(row, AXES, where)
        name = _name({column.lower(): value for column, value in row.items()})
        position = grid.to_world(index if order == "kji" else index[::-1])[0]
        markups.points.append(ControlPoint(position, name, "", where))
    return markups


def _name(row: dict[str, str]) -> str:
    """Return the row's name; a target number needs a word before it."""
    name = " ".join(filter(None, (row.get(column) for column in NAME_COLUMNS)))
    number = row.get("instance", "").removesuffix(".0")
    return " ".join(filter(None, (name or ("points" if number else ""), number, row.get("role"))))


def _order(path: Path) -> str:
    stated = path.with_suffix("").suffix.lower().lstrip(".")
    if stated in ORDERS:
        return stated
    if (file := path.with_name(ORDER_FILE)).is_file():
        if (stated := read_text(file).strip().lower()) in ORDERS:
            return stated
        raise PasegError(f"{file} contains '{stated}': write one word, ijk or kji.")
    raise PasegError(
        f"{path} is from napari and does not contain the order of its axes: write the word kji (arrays as "
        f"z, y, x: SimpleITK, scikit-image) or ijk (x, y, z: nibabel) into {file}, or call the file "
        f"{path.stem}.kji.csv or {path.stem}.ijk.csv."
    )
