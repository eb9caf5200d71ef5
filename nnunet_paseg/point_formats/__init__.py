"""Point files: one reader and writer a format, chosen by suffix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.point_formats.csv import read_csv
from nnunet_paseg.point_formats.label_map import read_label_map
from nnunet_paseg.points import Grid, Instance

SUFFIXES = (".csv", ".nii.gz", ".nii", ".nrrd", ".mha")


def read_points(path: Path, grid: Grid, class_names: Sequence[str]) -> list[Instance]:
    """Instances of a point file.

    Args:
        path: ``.csv`` with world coordinates, or a label map of single voxels (see the readers).
        grid: the image's grid, which a label map must share.
        class_names: the dataset's classes; a label map names none, so its targets are of the first class.

    Raises:
        PasegError: a suffix that no reader knows, or whatever the reader refuses.
    """
    name = path.name.lower()
    if name.endswith(".csv"):
        return read_csv(path)
    if name.endswith(SUFFIXES):
        return read_label_map(path, grid, class_names[0])
    raise PasegError(f"{path} is no point file that can be read: expected one of {', '.join(SUFFIXES)}.")
