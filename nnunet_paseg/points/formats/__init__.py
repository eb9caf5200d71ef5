"""Point files: one reader per format, chosen by suffix and, for tables, by the columns.

Only the package's own format, :mod:`nnunet_paseg.points.formats.csv`, is also written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.csv import HEADER, read_csv
from nnunet_paseg.points.formats.fcsv import read_fcsv
from nnunet_paseg.points.formats.label_map import LABEL_FILE, read_label_map, read_named_label_map
from nnunet_paseg.points.formats.markups import LPS_FROM_RAS, Markups
from nnunet_paseg.points.formats.mrk_json import read_mrk_json
from nnunet_paseg.points.formats.napari import AXES, read_napari
from nnunet_paseg.points.formats.slicer_table import SYSTEMS, read_slicer_table
from nnunet_paseg.points.formats.targets import find_targets
from nnunet_paseg.points.formats.text import read_text, rows
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

    Raises:
        PasegError: The suffix is unknown, or the reader of the format rejects the file.
    """
    files = point_files(path) if path.is_dir() else [path]
    case = case or path.name.partition(".")[0]
    instances, markups = [], Markups()
    for file in files:
        content = _read(file, grid, class_names)
        if isinstance(content, Markups):
            # 3D Slicer names the files after their lists.
            content = content.named(_stem(file)) if path.is_dir() else content
            markups.extend(content.with_swapped_axes() if swap_lps_ras else content)
        elif swap_lps_ras and file.suffix.lower() == ".csv":
            instances += [
                Instance(i.class_name, i.foreground * LPS_FROM_RAS, i.background * LPS_FROM_RAS) for i in content
            ]
        else:
            instances += content
    return instances + find_targets(markups, grid, class_names, case=case)


def point_files(folder: Path) -> list[Path]:
    """Return the point files in a case's folder, sorted by name.

    Raises:
        PasegError: The folder contains no point file.
    """
    files = [file for file in sorted(folder.iterdir()) if file.name.lower().endswith(SUFFIXES) and file.name[0] != "."]
    if not files:
        raise PasegError(f"{folder} contains no point file: add one of {', '.join(SUFFIXES)}.")
    return files


def _stem(file: Path) -> str:
    return file.name[: -len(next(suffix for suffix in SUFFIXES if file.name.lower().endswith(suffix)))]


def _read(path: Path, grid: Grid, class_names: Sequence[str]) -> Markups | list[Instance]:
    name = path.name.lower()
    if name.endswith(".mrk.json"):
        return read_mrk_json(path)
    if name.endswith(".fcsv"):
        return read_fcsv(path)
    if name.endswith(TABLES):
        return _read_table(path, grid)
    if name.endswith(LABEL_MAPS):
        if path.with_name(LABEL_FILE).is_file():
            return read_named_label_map(path, grid)
        if len(class_names) > 1:
            raise PasegError(
                f"{path} has no class names, and the dataset has {len(class_names)} classes "
                f"({', '.join(class_names)}): save ITK-SNAP's label descriptions next to it as {LABEL_FILE}, with "
                f"names like '{class_names[0]} fg'."
            )
        return read_label_map(path, grid, class_names[0])
    raise PasegError(f"{path} is not a point file: save it as one of {', '.join(SUFFIXES)}.")


def _read_table(path: Path, grid: Grid) -> Markups | list[Instance]:
    """Read a table with the reader that its columns determine."""
    header, _ = rows(read_text(path), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    if any(set(columns) <= set(header) for columns in SYSTEMS.values()):
        return read_slicer_table(path)
    if AXES[0] in header:
        return read_napari(path, grid)
    if set(HEADER) & set(header):
        return read_csv(path)
    raise PasegError(
        f"{path} has the columns {header}, which match no format: use {','.join(HEADER)}, "
        "or label,l,p,s or label,r,a,s (3D Slicer), or index,axis-0,axis-1,axis-2 (napari)."
    )
