"""The files of each case: images by channel, points by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nnunet_paseg.errors import PasegError

IMAGES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
POINTS = (".mrk.json", ".fcsv", ".csv", ".tsv")
MAP_MARKS = ("_7points", "_points")
"""Endings of the name of a painted point map that is stored next to the images."""


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes:
        identifier: Case identifier.
        images: One file per channel, in order; empty if there is none.
        points: Point files, or a folder of them; empty if there is none.
    """

    identifier: str
    images: tuple[Path, ...] = ()
    points: tuple[Path, ...] = ()

    def point_file(self) -> Path:
        """Return the point file or folder.

        Raises:
            PasegError: The case has none, or more than one.
        """
        if len(self.points) == 1:
            return self.points[0]
        if not self.points:
            raise PasegError(
                f"Case {self.identifier} has no points: add a point file named after the image, e.g. "
                f"{self.identifier}.mrk.json, or put the image elsewhere."
            )
        raise PasegError(
            f"Case {self.identifier} has {len(self.points)} point files ({', '.join(p.name for p in self.points)}): "
            f"keep one, or move those that belong together into a folder named {self.identifier}."
        )


def find_case_files(images: Path, points: Path) -> list[CaseFiles]:
    """Find the cases of a folder of images and a folder of points, which may be the same folder.

    Images are named ``{case}.nii.gz``, or ``{case}_0000.nii.gz``, ``{case}_0001.nii.gz``, ... for several channels.
    Points are named ``{case}.mrk.json`` and the like, ``{case}_7points.nii.gz``, or are in a folder ``{case}``.

    Raises:
        PasegError: A folder is missing, or contains no file of its kind.
    """
    together = images.resolve() == points.resolve()
    by_case = group_images(images, skip_maps=together)
    of_points = files_in(points)
    if not by_case:
        raise PasegError(f"{images} contains no image: expected {{case}}.nii.gz (or {', '.join(IMAGES[1:])}).")
    marked: dict[str, list[Path]] = {}
    for path in of_points:
        identifier = _case_of_points(path, is_map_marked=together)
        if identifier is not None:
            marked.setdefault(identifier, []).append(path)
    if not marked:
        raise PasegError(
            f"{points} contains no points: expected {{case}} with one of {', '.join(POINTS)}, or "
            f"{{case}}{MAP_MARKS[0]}.nii.gz, or a folder {{case}} of such files."
        )
    return [CaseFiles(case, by_case.get(case, ()), tuple(marked.get(case, ()))) for case in sorted({*by_case, *marked})]


def files_in(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted by name.

    Raises:
        PasegError: The folder is missing.
    """
    if not folder.is_dir():
        raise PasegError(f"{folder}: no such folder")
    return sorted(folder.iterdir())


def group_images(folder: Path, *, skip_maps: bool = False) -> dict[str, tuple[Path, ...]]:
    """Return the image files of a folder by case, one per channel.

    Args:
        folder: Folder of images.
        skip_maps: Skip painted point maps.

    Raises:
        PasegError: The folder is missing.
    """
    stems = {path: _without(path, IMAGES) for path in files_in(folder) if _is_file(path, IMAGES)}
    if skip_maps:
        stems = {path: stem for path, stem in stems.items() if not stem.endswith(MAP_MARKS)}
    names = set(stems.values())
    found: dict[str, list[Path]] = {}
    for path, stem in stems.items():
        # Four digits are a channel only if channel 0000 exists: "patient_2021" is a patient.
        match = re.fullmatch(r"(.+)_\d{4}", stem)
        is_channel = match is not None and f"{match[1]}_0000" in names
        found.setdefault(match[1] if match and is_channel else stem, []).append(path)
    return {case: tuple(paths) for case, paths in found.items()}


def label_maps(folder: Path) -> dict[str, Path]:
    """Return the label map of every case, ``{case}.nii.gz`` and the like.

    Raises:
        PasegError: The folder is missing, or two files are of the same case.
    """
    cases: dict[str, Path] = {}
    for path in files_in(folder):
        if not _is_file(path, IMAGES):
            continue
        case = _without(path, IMAGES)
        if case in cases:
            raise PasegError(
                f"{folder}: case {case} is there twice, as {cases[case].name} and {path.name}: remove one."
            )
        cases[case] = path
    return cases


def _case_of_points(path: Path, *, is_map_marked: bool) -> str | None:
    if path.name.startswith("."):
        return None
    if path.is_dir():
        return path.name if any(_is_file(file, POINTS + IMAGES) for file in path.iterdir()) else None
    if _is_file(path, POINTS):
        stem = _without(path, POINTS)
        return re.sub(r"(\.(ijk|kji)|_0000)$", "", stem, flags=re.IGNORECASE)
    if _is_file(path, IMAGES):
        stem = _without(path, IMAGES)
        mark = next((mark for mark in MAP_MARKS if stem.endswith(mark)), None)
        return stem.removesuffix(mark) if mark else (None if is_map_marked else stem)
    return None


def _is_file(path: Path, endings: tuple[str, ...]) -> bool:
    return path.is_file() and path.name[0] != "." and path.name.lower().endswith(endings)


def _without(path: Path, endings: tuple[str, ...]) -> str:
    return path.name[: -len(next(ending for ending in endings if path.name.lower().endswith(ending)))]
