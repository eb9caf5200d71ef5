"""State of the input files of a case: a case whose files have changed is made again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nnunet_paseg.points.formats import point_files
from nnunet_paseg.points.formats.label_map import LABEL_FILE
from nnunet_paseg.points.formats.napari import ORDER_FILE


def input_state(voxel_files: Iterable[Path], points: Path | None) -> dict[str, list[int]]:
    """Return size and modification time (ns) of every input file of a case, by path.

    Args:
        voxel_files: Files of images and masks.
        points: Point file, or folder of point files; None for a case without points.

    Raises:
        PasegError: The folder contains no point file.
        OSError: A file is missing.
    """
    paths = set(voxel_files)
    if points is not None:
        folder = points if points.is_dir() else points.parent
        # The files next to them that state the order of the axes, or the names of painted points.
        beside = (folder / name for name in (LABEL_FILE, ORDER_FILE))
        paths |= {*(point_files(points) if points.is_dir() else [points]), *filter(Path.is_file, beside)}
    states = {str(path): path.stat() for path in sorted(paths)}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}
