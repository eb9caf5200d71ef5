"""The files of each case: images by channel, points by name."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import check_folder

IMAGES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
POINTS = (".mrk.json", ".fcsv", ".csv", ".tsv")
MAP_MARKS = ("_7points", "_points")
"""Endings of the name of a painted point map that is stored next to the images."""

LARGEST_CHANNEL = 99
"""A larger number at the end of a name is part of the case identifier, unless the case has a channel 0000."""


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes:
        identifier: Case identifier, in Unicode's composed form (NFC).
        images: One file per channel, in the order of the channels; empty if there is none.
        points: Point files, or a folder of them; empty if there is none.
        channels: Channel number of every image file. An image without a number is channel 0.
        mask: Mask of a different tool, if there is one.
    """

    identifier: str
    images: tuple[Path, ...] = ()
    points: tuple[Path, ...] = ()
    channels: tuple[int, ...] = ()
    mask: Path | None = None

    def channel_problem(self, number: int) -> str | None:
        """Return what is wrong with the channels, as the end of a sentence about the case; None if nothing is.

        Args:
            number: Number of channels of the dataset, which are 0000, 0001, ...
        """
        found, problems = Counter(self.channels), []
        if missing := [channel for channel in range(number) if channel not in found]:
            names = _channels(sorted(found)) or "none"
            problems.append(f"lacks channel {_channels(missing)} (found {names}): add the file, or leave out the case")
        if twice := [channel for channel, count in found.items() if count > 1]:
            files = [path.name for path, channel in zip(self.images, self.channels, strict=True) if channel in twice]
            problems.append(f"has channel {_channels(twice)} more than once ({', '.join(files)}): keep one file")
        if extra := [channel for channel in found if channel >= number]:
            problems.append(
                f"has channel {_channels(extra)}, but the dataset has {number} channel{'s' * (number > 1)} "
                f"({_channels(range(number))}): remove the file, or correct the channel names"
            )
        return "; ".join(problems) or None

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


def find_case_files(images: Path, points: Path, *, needs_points: bool = True) -> list[CaseFiles]:
    """Find the cases of a folder of images and a folder of points, which may be the same folder.

    Images are named ``{case}.nii.gz``, or ``{case}_0000.nii.gz``, ``{case}_0001.nii.gz``, ... for several channels.
    Points are named ``{case}.mrk.json`` and the like, ``{case}_7points.nii.gz``, or are in a folder ``{case}``.

    Args:
        images: Folder of images.
        points: Folder of points.
        needs_points: Whether a folder without points is an error.

    Raises:
        PasegError: A folder is missing, or contains no file of its kind.
    """
    together = images.resolve() == points.resolve()
    marked: dict[str, list[Path]] = {}
    for path in files_in(points):
        identifier = _case_of_points(path, is_map_marked=together)
        if identifier is not None:
            marked.setdefault(identifier, []).append(path)
    found = find_images(images, marked, skip_maps=together)
    if not found:
        raise PasegError(f"{images} contains no image: expected {{case}}.nii.gz (or {', '.join(IMAGES[1:])}).")
    if needs_points and not marked:
        raise PasegError(
            f"{points} contains no points: expected {{case}} with one of {', '.join(POINTS)}, or "
            f"{{case}}{MAP_MARKS[0]}.nii.gz, or a folder {{case}} of such files."
        )
    return [
        replace(found.get(case, CaseFiles(case)), points=tuple(marked.get(case, ())))
        for case in sorted({*found, *marked})
    ]


def check_channel_names(found: Collection[CaseFiles], names: Sequence[str]) -> None:
    """Raise PasegError once, and not for every case, if all cases have the same channels and not one per name.

    Args:
        found: Files of all cases.
        names: One name per channel.
    """
    numbers = {files.channels for files in found}
    if len(numbers) == 1 and (channels := numbers.pop()) == tuple(range(len(channels))) and len(channels) != len(names):
        raise PasegError(
            f"All cases have {len(channels)} image files for the {len(names)} channels {list(names)}: pass one name "
            "per channel with --channel-names."
        )


def check_channels(files: CaseFiles, number: int) -> None:
    """Raise PasegError if a case lacks a channel, or has one twice or too many.

    Args:
        files: Files of the case.
        number: Number of channels of the dataset.
    """
    if problem := files.channel_problem(number):
        raise PasegError(f"Case {files.identifier} {problem}.")


def files_in(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted by name.

    Raises:
        PasegError: The folder is missing.
    """
    check_folder(folder)
    return sorted(folder.iterdir())


def find_images(folder: Path, known: Container[str] = (), *, skip_maps: bool = False) -> dict[str, CaseFiles]:
    """Return the image files of a folder by case.

    Four digits at the end of a name are the number of a channel or part of the case identifier: "patient_2021" is a
    patient. They are a channel if the rest of the name is a case, because it has a channel 0000 or is known. In a
    folder with numbered channels, two-digit numbers are channels too, so that a case without channel 0000 is found.

    Args:
        folder: Folder of images.
        known: Identifiers of cases, from the names of their points or masks.
        skip_maps: Skip painted point maps.

    Raises:
        PasegError: The folder is missing.
    """
    stems = {path: _without(path, IMAGES) for path in files_in(folder) if _is_file(path, IMAGES)}
    if skip_maps:
        stems = {path: stem for path, stem in stems.items() if not stem.endswith(MAP_MARKS)}
    first = {stem.removesuffix("_0000") for stem in stems.values() if stem.endswith("_0000")}
    found: dict[str, list[tuple[int, Path]]] = {}
    for path, stem in stems.items():
        case, channel = stem, 0
        if stem not in known and (match := re.fullmatch(r"(.+)_(\d{4})", stem, re.DOTALL)):
            number = int(match[2])
            if match[1] in first or match[1] in known or (first and number <= LARGEST_CHANNEL):
                case, channel = match[1], number
        found.setdefault(case, []).append((channel, path))
    return {
        case: CaseFiles(case, tuple(path for _, path in files), channels=tuple(channel for channel, _ in files))
        for case, files in ((case, sorted(files)) for case, files in found.items())
    }


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
    if path.is_dir() and re.search(r"\.bak\d*$", path.name):  # points that `paseg annotate` has replaced
        return None
    if path.is_dir():
        return composed(path.name) if any(_is_file(file, POINTS + IMAGES) for file in path.iterdir()) else None
    if _is_file(path, POINTS):
        if is_table_schema(path):
            return None
        stem = _without(path, POINTS)
        return re.sub(r"((\.mm)?\.(ijk|kji)(\.mm)?|_0000)$", "", stem, flags=re.IGNORECASE)
    if _is_file(path, IMAGES):
        stem = _without(path, IMAGES)
        mark = next((mark for mark in MAP_MARKS if stem.endswith(mark)), None)
        return stem.removesuffix(mark) if mark else (None if is_map_marked else stem)
    return None


def _channels(numbers: Iterable[int]) -> str:
    return ", ".join(f"{number:04d}" for number in numbers)


def is_table_schema(path: Path) -> bool:
    """Return whether a file describes the columns of the table next to it, as 3D Slicer saves with every table."""
    match = re.fullmatch(r"(.+)\.schema\.(csv|tsv|txt)", path.name, re.IGNORECASE)
    return match is not None and any(
        path.with_name(match[1] + suffix).is_file() for suffix in (".csv", ".tsv", ".txt", ".CSV", ".TSV", ".TXT")
    )


def _is_file(path: Path, endings: tuple[str, ...]) -> bool:
    return path.is_file() and path.name[0] != "." and path.name.lower().endswith(endings)


def _without(path: Path, endings: tuple[str, ...]) -> str:
    return composed(path.name[: -len(next(ending for ending in endings if path.name.lower().endswith(ending)))])


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC): macOS stores "ä" as two characters, and other systems as one."""
    return unicodedata.normalize("NFC", name)
