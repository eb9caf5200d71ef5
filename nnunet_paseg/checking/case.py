"""Checks of the images and the points of one case, before it is converted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.checking.plausibility import implausible
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import CaseFiles
from nnunet_paseg.io.images import header_warning, read_image
from nnunet_paseg.points.formats import doubts, read_points
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance, VoxelInstance, place_on_grid

MAX_NAMED = 5
"""Most files that a message names."""
MAX_REASON = 200
"""Longest text of an unexpected exception that a message quotes."""


@dataclass
class CaseReport:
    """Findings about one case.

    Attributes:
        files: Image and point files of the case.
        shape: Shape (z, y, x) in voxels, None if no image can be read.
        spacing_mm: Spacing (z, y, x) in mm.
        targets: Number of targets per class.
        problems: Messages, each with what to do.
        warnings: Messages about images and points that can be used.
        instances: Targets that lie on the image's grid.
        swapped: Targets with LPS and RAS exchanged, if that solves all problems of the points.
        digest: Hash of the first channel's voxels.
    """

    files: CaseFiles
    shape: tuple[int, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    targets: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    swapped: list[Instance] | None = None
    digest: str = ""

    @property
    def case(self) -> str:
        return self.files.identifier


def check_case(files: CaseFiles, class_names: Sequence[str], *, channels: int) -> CaseReport:
    """Check the images and the points of one case.

    Args:
        files: Image and point files of the case.
        class_names: Classes of the dataset.
        channels: Number of image files per case.
    """
    report = CaseReport(files)
    grid = _check_images(files, channels, report)
    try:
        path = files.point_file()
    except PasegError as error:
        report.problems.append(str(error))
        return report
    if grid is not None:
        try:
            _check_points(path, grid, class_names, report)
        except Exception as error:
            report.problems.append(_message(path, error))
    return report


def _check_images(files: CaseFiles, channels: int, report: CaseReport) -> Grid | None:
    """Check every channel and return the grid of the first one, None if it cannot be read."""
    if not files.images:
        report.problems.append(
            f"there is no image for {_some(files.points)}: name it "
            f"{files.identifier}.nii.gz, or name the points after the image"
        )
        return None
    if problem := files.channel_problem(channels):
        report.problems.append(problem)
    first: tuple[Path, Grid] | None = None
    for path in files.images:
        try:
            image = read_image(path)
            grid = Grid.from_image(image)
            if warning := header_warning(path):
                report.warnings.append(warning)
        except Exception as error:
            report.problems.append(_message(path, error))
            continue
        values = sitk.GetArrayViewFromImage(image)
        if values.min() == values.max():
            report.problems.append(f"{path} is {values.min():g} everywhere: export the image again")
        if path == files.images[0]:
            report.digest = _digest(values)
        first = first or (path, grid)
        if not grid.same_as(first[1]):
            report.problems.append(f"{path} and {first[0]} are on different grids: resample them to one grid")
    if first is None:
        return None
    report.shape, report.spacing_mm = first[1].shape, first[1].spacing_mm
    return first[1]


def _digest(values: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{values.shape}{values.dtype}".encode())
    for plane in values:  # without a copy of the whole image
        digest.update(plane.tobytes())
    return digest.hexdigest()


def _check_points(path: Path, grid: Grid, class_names: Sequence[str], report: CaseReport) -> None:
    labels = {name: label for label, name in enumerate(class_names, start=1)}
    instances, placed, problems = _place(path, grid, labels, report.case)
    if problems:
        swapped, _, remaining = _place(path, grid, labels, report.case, swap_lps_ras=True)
        if swapped and not remaining:
            report.swapped = swapped
            problems = [
                f"{path}: LPS and RAS are swapped; with the signs of x and y changed, all points fit: --fix-lps"
            ]
    report.problems += problems
    report.instances = instances
    report.targets = Counter(instance.class_name for instance in instances)
    for instance, voxels in zip(instances, placed, strict=True):
        report.problems += [f"{path}: {problem}" for problem in implausible(instance, voxels, grid)]
    if not problems:
        report.warnings += doubts(path, grid)


def _place(
    path: Path, grid: Grid, labels: dict[str, int], case: str, *, swap_lps_ras: bool = False
) -> tuple[list[Instance], list[VoxelInstance], list[str]]:
    """Return the targets that lie on the grid, and a message for each of the others."""
    try:
        found = read_points(path, grid, list(labels), case=case, swap_lps_ras=swap_lps_ras)
    except Exception as error:
        return [], [], [_message(path, error)]
    instances, placed, problems = [], [], []
    for instance in found:
        try:
            placed.append(place_on_grid(instance, grid, labels))
            instances.append(instance)
        except PasegError as error:
            problems.append(f"{path}: {error}")
    return instances, placed, problems


def _message(path: Path, error: Exception) -> str:
    """Return the message for a file that cannot be read, whatever exception a parser raises: one file, one line."""
    if isinstance(error, PasegError):
        return str(error)
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
    return f"{path} cannot be read ({reason}): save or export it again."


def _some(paths: Sequence[Path]) -> str:
    rest = f" and {len(paths) - MAX_NAMED} more" if len(paths) > MAX_NAMED else ""
    return ", ".join(path.name for path in paths[:MAX_NAMED]) + rest
