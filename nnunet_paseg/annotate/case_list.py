"""Cases of the two folders, whose files are all inside these folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import CaseFiles, find_case_files
from nnunet_paseg.io.headers import image_files


def list_cases(images: Path, points: Path) -> dict[str, CaseFiles]:
    """Return all cases by their identifiers, those without points included.

    Raises:
        PasegError: A folder is missing, or there is no image.
    """
    return {files.identifier: files for files in find_case_files(images, points, needs_points=False)}


def check_files(files: CaseFiles, folders: Sequence[Path], channels: int) -> None:
    """Raise PasegError if a case cannot be opened.

    Args:
        files: Files of the case.
        folders: Folders of images and points. Links to files outside of them are not followed.
        channels: Number of channels of the dataset.

    Raises:
        PasegError: There is no image, a channel is missing, there are several point files, or a file is outside.
    """
    if not files.images:
        raise PasegError(f"There is no image for {files.points[0].name}: add it, or rename the file.")
    if problem := files.channel_problem(channels):
        raise PasegError(f"Case {files.identifier} {problem}.")
    if len(files.points) > 1:
        files.point_file()
    inside = [folder.resolve() for folder in folders]
    for path in (*files.images, *files.points):
        for file in image_files(path) if path in files.images else _all_files(path):
            if not any(file.resolve().is_relative_to(folder) for folder in inside):
                raise PasegError(f"{path} is outside the folders of images and points: copy it there.")


def _all_files(path: Path) -> list[Path]:
    return [path, *path.iterdir()] if path.is_dir() else [path]
