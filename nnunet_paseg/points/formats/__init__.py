"""Point files: one reader per format, chosen by suffix and, for tables, by the columns.

Only the package's own format, :mod:`nnunet_paseg.points.formats.csv`, is also written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import is_table_schema
from nnunet_paseg.points.formats.completeness import take_absent
from nnunet_paseg.points.formats.csv import HEADER, parse_csv
from nnunet_paseg.points.formats.label_map import LABEL_FILE, read_label_map, read_named_label_map
from nnunet_paseg.points.formats.markups import LPS_FROM_RAS, Markups
from nnunet_paseg.points.formats.mrk_json import read_mrk_json
from nnunet_paseg.points.formats.naming import plain
from nnunet_paseg.points.formats.napari import AXES, LAYER_HINT, may_be_millimetres, read_napari
from nnunet_paseg.points.formats.slicer_tables import SYSTEMS, read_fcsv, read_slicer_table
from nnunet_paseg.points.formats.table import read_table
from nnunet_paseg.points.formats.targets import find_targets
from nnunet_paseg.points.formats.text import shown
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

MARKUPS, TABLES = (".mrk.json", ".fcsv"), (".csv", ".tsv")
LABEL_MAPS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
SUFFIXES = (*MARKUPS, *TABLES, *LABEL_MAPS)


def read_points(
    path: Path, grid: Grid, class_names: Sequence[str], *, case: str = "", swap_lps_ras: bool = False
) -> list[Instance]:
    """Read the targets of a case.

    Args:
        path: Point file, or folder of point files (several lists and boxes of one case), see docs/points.md.
        grid: Grid of the image, which a label map must share.
        class_names: Classes of the dataset; a single class needs no name in the file.
        case: Case identifier (default: the file's name), which is ignored as the name of a list.
        swap_lps_ras: Read LPS world coordinates as RAS, and RAS as LPS.

    Returns:
        Targets; none if the file states that there is none: the header of the package's own format without a row, a
        label map without a painted voxel, or a point for every class that states that it is absent.

    Raises:
        PasegError: The suffix is unknown, the reader of the format rejects the file, or the case is not finished.
    """
    files = point_files(path) if path.is_dir() else [path]
    case = case or path.name.partition(".")[0]
    instances, markups = [], Markups()
    earlier: dict[Path, set[tuple[int, ...]]] = {}
    for file in files:
        with _naming(file):
            content = _read(file, grid, class_names)
            _check_repeated(file, content, earlier, grid)
        if isinstance(content, Markups):
            # 3D Slicer names the files after their lists.
            content = content.named(_stem(file)) if path.is_dir() else content
            markups.extend(content.with_swapped_axes() if swap_lps_ras else content)
        else:
            instances += [_swapped(i) if swap_lps_ras and not i.in_voxels else i for i in content]
    with _naming(path):
        markups, classes = take_absent(markups, class_names, case)
        instances += find_targets(markups, grid, class_names, case=case, source=str(path))
        classes.check({instance.class_name for instance in instances}, class_names, str(path))
    return instances


def point_files(folder: Path) -> list[Path]:
    """Return the point files in a case's folder, sorted by name.

    Raises:
        PasegError: The folder contains no point file.
    """
    files = [
        file
        for file in sorted(folder.iterdir())
        if file.name.lower().endswith(SUFFIXES) and file.name[0] != "." and not is_table_schema(file)
    ]
    if not files:
        raise PasegError(f"{folder} contains no point file: add one of {', '.join(SUFFIXES)}.")
    return files


def doubts(path: Path, grid: Grid) -> list[str]:
    """Return warnings about point files that can be read, but perhaps not as they are meant.

    Args:
        path: Point file, or folder of point files.
        grid: Grid of the image.

    Raises:
        PasegError: A file cannot be read.
    """
    tables = [
        read_table(file)
        for file in (point_files(path) if path.is_dir() else [path])
        if file.name.lower().endswith(TABLES)
    ]
    return [
        f"{table.path}: its numbers count as voxels, but look like millimetres of a points layer without scale: "
        f"{LAYER_HINT}, or write mm after the order of the axes"
        for table in tables
        if AXES[0] in table.columns and may_be_millimetres(table, grid)
    ]


def _check_repeated(
    file: Path, content: Markups | list[Instance], earlier: dict[Path, set[tuple[int, ...]]], grid: Grid
) -> None:
    """Raise PasegError if all points of a file are in another file of the case too: a list was saved twice."""
    if isinstance(content, Markups):
        positions = [point.position for point in content.points]
    else:
        positions = [position for i in content for position in (*i.foreground, *i.background)]
    thousandths = np.rint(1000 * grid.to_indices(np.reshape(positions, (-1, 3))).clip(-1e9, 1e9)).astype(np.int64)
    points = set(map(tuple, thousandths.tolist()))
    for other, others in earlier.items():
        if points and (points <= others or others <= points):
            raise PasegError(f"{file} has the same points as {other.name}: remove one of the two files.")
    if points:
        earlier[file] = points


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Turn any other error into one that names the file: it was not foreseen, and must not stop the other cases."""
    try:
        yield
    except PasegError:
        raise
    except Exception as error:
        raise PasegError(
            f"{file} cannot be read as points ({type(error).__name__}: {shown(error)}): save the points again."
        ) from error


def _swapped(instance: Instance) -> Instance:
    return Instance(instance.class_name, instance.foreground * LPS_FROM_RAS, instance.background * LPS_FROM_RAS)


def _stem(file: Path) -> str:
    return file.name[: -len(next(suffix for suffix in SUFFIXES if file.name.lower().endswith(suffix)))]


def _read(path: Path, grid: Grid, class_names: Sequence[str]) -> Markups | list[Instance]:
    name = path.name.lower()
    if name.endswith(LABEL_MAPS):
        return _read_label_map(path, grid, class_names)
    if name.endswith(".mrk.json"):
        content: Markups | list[Instance] = read_mrk_json(path)
    elif name.endswith(".fcsv"):
        content = read_fcsv(path)
    elif name.endswith(TABLES):
        content = _read_table(path, grid, class_names)
    else:
        raise PasegError(f"{path} is not a point file: save it as one of {', '.join(SUFFIXES)}.")
    if isinstance(content, Markups) and not content.points and not content.boxes and not content.unplaced:
        raise PasegError(
            f"{path} contains no placed point: place some. If the case has no target, replace the file by "
            f"{_stem(path)}.csv with the one line {','.join(HEADER)}. If the case has other point files, delete it."
        )
    return content


def _read_label_map(path: Path, grid: Grid, class_names: Sequence[str]) -> Markups | list[Instance]:
    if path.with_name(LABEL_FILE).is_file() and (named := read_named_label_map(path, grid)) is not None:
        return named
    if len(class_names) > 1:
        raise PasegError(
            f"{path} has no class names, and the dataset has {len(class_names)} classes ({', '.join(class_names)}): "
            f"save ITK-SNAP's label descriptions next to it as {LABEL_FILE}, with names like '{class_names[0]} fg'."
        )
    return read_label_map(path, grid, class_names[0])


def _read_table(path: Path, grid: Grid, class_names: Sequence[str]) -> Markups | list[Instance]:
    """Read a table with the reader that its columns determine."""
    table = read_table(path)
    columns = set(table.columns)
    is_slicer = any(set(names) <= columns for names in SYSTEMS.values())
    is_napari = AXES[0] in columns
    # napari's features may be called like columns of the package's own format.
    is_own = bool(set(HEADER if not is_slicer and not is_napari else HEADER[3:]) & columns)
    if is_slicer + is_napari + is_own != 1:
        raise PasegError(
            f"{path} has the columns {shown(table.columns)}, which match no format: use {','.join(HEADER)}, "
            "or label,l,p,s or label,r,a,s (3D Slicer), or index,axis-0,axis-1,axis-2 (napari)."
        )
    if is_slicer:
        return read_slicer_table(table)
    return read_napari(table, grid) if is_napari else _with_class_names(parse_csv(table), class_names)


def _with_class_names(instances: list[Instance], class_names: Sequence[str]) -> list[Instance]:
    """Spell the classes as the dataset does; unknown ones are rejected when the points are placed on the grid."""
    spelled = {plain(name): name for name in class_names}
    return [
        i if i.class_name in class_names else replace(i, class_name=spelled.get(plain(i.class_name), i.class_name))
        for i in instances
    ]
