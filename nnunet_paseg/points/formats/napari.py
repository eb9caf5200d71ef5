"""napari's points layers, ``.csv``: voxel indices, in an axis order that the file does not contain.

napari shows an array in the order of its reader: ``ijk`` (x, y, z, nibabel) or ``kji`` (z, y, x, SimpleITK and
scikit-image). The order is stated in the file's name, ``{case}.kji.csv``, or for the whole folder in a file
``axes.txt``. A second word, ``mm``, means that the layer had no scale, so that its numbers are millimetres.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import LPS_FROM_RAS, ControlPoint, Markups
from nnunet_paseg.points.formats.table import Row, Table
from nnunet_paseg.points.formats.text import read_text, shown
from nnunet_paseg.points.grid import FloatArray, Grid

AXES = ("axis-0", "axis-1", "axis-2")
ORDERS = ("ijk", "kji")
MILLIMETRES = "mm"
ORDER_FILE = "axes.txt"
NAME_COLUMNS = ("class", "label", "name", "role")
LAYER_HINT = "select the image layer, then make a new points layer"
WHOLE = 1e-3
"""Coordinates this close to a whole number are whole: napari computes them from its world coordinates."""
MAX_CHANCE = 0.15
"""Voxel indices that are all multiples of the spacing are less probable than this, if they look like millimetres."""


def read_napari(table: Table, grid: Grid) -> Markups:
    """Read the points of a points layer, named by columns called label, class, name, instance or role.

    Raises:
        PasegError: The layer is not 3D, the axis order is not stated, or a coordinate is not a number.
    """
    if "shape-type" in table.columns:
        raise PasegError(f"{table.path} is from a shapes layer of napari: click the points in a points layer.")
    if not set(AXES) <= set(table.columns) or "axis-3" in table.columns:
        raise PasegError(
            f"{table.path} has the columns {shown(table.columns)}: points of a 3D image have "
            "index,axis-0,axis-1,axis-2."
        )
    order, in_mm = _axes(table.path)
    numbers = _xyz(table, order)
    positions = _positions_of_mm(table.path, numbers, order, grid) if in_mm else grid.to_world(numbers[:, ::-1])
    markups = Markups()
    for row, position in zip(table.rows, positions, strict=True):
        table.check_end(row, (*AXES, *NAME_COLUMNS, "instance"))
        # pandas writes whole numbers as 1.0 in a column with gaps.
        words = (re.sub(r"^(\d+)\.0+$", r"\1", row.text(column)) for column in NAME_COLUMNS)
        name = " ".join(filter(None, words))
        markups.points.append(ControlPoint(position, name, "", row.where, _number(row), in_voxels=not in_mm))
    return markups


def may_be_millimetres(table: Table, grid: Grid) -> bool:
    """Return whether numbers that count as voxel indices are in the image as millimetres too, and look like them."""
    order, in_mm = _axes(table.path)
    numbers = _xyz(table, order)
    if in_mm or not len(numbers) or not _inside(grid.to_world(numbers[:, ::-1]), grid).all():
        return False
    return any(
        _inside(positions, grid).all() and _look_like_mm(numbers, grid.to_indices(positions)[:, ::-1], grid)
        for positions in _readings_of_mm(numbers, order, grid)
    )


def _look_like_mm(numbers: FloatArray, indices: FloatArray, grid: Grid) -> bool:
    """Return whether numbers are rather millimetres than voxel indices.

    Args:
        numbers: (n, 3) numbers of the file along the image's x, y and z axes.
        indices: (n, 3) voxel indices (x, y, z) that they are as millimetres.
        grid: Grid of the image.
    """
    whole, on_slices = _is_whole(numbers), _is_whole(indices)
    spacing = np.array(grid.spacing_mm[::-1])
    scaled = np.abs(spacing - 1) > WHOLE
    # A click on a slice of the image has one whole index. Fractions that are all on voxel centres were not clicked.
    if not whole.any(axis=1).all() or (on_slices[:, scaled].all() and not whole[:, scaled].all()):
        return True
    chance = 1.0
    for axis in np.flatnonzero(spacing > 1 + WHOLE):
        if not on_slices[whole[:, axis], axis].all():
            return False
        chance *= spacing[axis] ** -float(len(np.unique(np.rint(numbers[whole[:, axis], axis]))))
    return chance < MAX_CHANCE


def _is_whole(numbers: FloatArray) -> npt.NDArray[np.bool_]:
    return np.abs(numbers - np.rint(numbers)) < WHOLE


def _xyz(table: Table, order: str) -> FloatArray:
    """Return the numbers of a table, (n, 3) along the image's x, y and z axes."""
    numbers = np.array([table.position(row, AXES) for row in table.rows]).reshape(-1, 3)
    return numbers[:, ::-1] if order == "kji" else numbers


def _readings_of_mm(numbers: FloatArray, order: str, grid: Grid) -> list[FloatArray]:
    """Return world positions of millimetres: in an image with its origin and direction, and with its spacing alone."""
    # nibabel's affine is in RAS, SimpleITK's origin and direction in LPS.
    world = numbers * LPS_FROM_RAS if order == "ijk" else numbers
    return [world, grid.to_world((numbers / grid.spacing_mm[::-1])[:, ::-1])]


def _positions_of_mm(path: Path, numbers: FloatArray, order: str, grid: Grid) -> FloatArray:
    readings = _readings_of_mm(numbers, order, grid)
    fitting = [positions for positions in readings if _inside(positions, grid).all()]
    if not fitting:
        raise PasegError(
            f"{path}: its numbers as millimetres are outside the image: {LAYER_HINT}, and click the points again."
        )
    if len(fitting) == 2 and (grid.to_voxels(fitting[0]) != grid.to_voxels(fitting[1])).any():
        raise PasegError(
            f"{path}: its millimetres are in the image both with its origin and without it: {LAYER_HINT}, and click "
            "the points again."
        )
    return fitting[0]


def _inside(positions: FloatArray, grid: Grid) -> npt.NDArray[np.bool_]:
    indices = grid.to_indices(positions)
    return np.asarray(((indices > -0.5) & (indices < np.array(grid.shape) - 0.5)).all(axis=1))


def _number(row: Row) -> int | None:
    """Return the target number of a row, which pandas may have written as 1.0."""
    cell = row.text("instance")
    if not cell:
        return None
    if match := re.fullmatch(r"(\d{1,9})(\.0+)?", cell, re.ASCII):
        return int(match[1])
    raise PasegError(f"{row.where}: the instance is '{shown(cell)}', not a whole number: correct it.")


def _axes(path: Path) -> tuple[str, bool]:
    """Return the axis order, and whether the numbers are millimetres."""
    stated = re.search(r"\.(mm\.)?(ijk|kji)(\.mm)?\.\w+$", path.name.casefold())
    file = path.with_name(ORDER_FILE)
    words = re.findall(r"[^\s,;]+", read_text(file).casefold()) if file.is_file() else []
    if file.is_file() and (len(set(words) & set(ORDERS)) != 1 or set(words) - {*ORDERS, MILLIMETRES}):
        raise PasegError(
            f"{file} contains '{shown(' '.join(words))}': write one word, ijk or kji, and mm after it if the points "
            "layers had no scale."
        )
    order = stated[2] if stated else next((word for word in words if word in ORDERS), None)
    if order is None:
        raise PasegError(
            f"{path} is from napari and does not contain the order of its axes: write the word kji (arrays as "
            f"z, y, x: SimpleITK, scikit-image) or ijk (x, y, z: nibabel) into {file}, or call the file "
            f"{path.stem}.kji.csv or {path.stem}.ijk.csv."
        )
    return order, MILLIMETRES in words or bool(stated and (stated[1] or stated[3]))
