"""DICOM image series, and the contours of RT structure sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import Grid

MODALITY, DESCRIPTION, SERIES, POSITION = "0008|0060", "0008|103e", "0020|000e", "0020|0032"
ORIENTATION, SOP_CLASS = "0020|0037", "0008|0016"

SAME_ORIENTATION = 1e-3
"""Largest difference of direction cosines between the slices of a series."""

MAX_TILT = 0.5
"""Largest angle in degrees between the stack of slices and the normal of the slices."""


@dataclass(frozen=True)
class DicomSeries:
    """A 3D image stored as a DICOM series.

    Attributes:
        folder: Folder of the series' files, and possibly of others.
        names: Names of the series' files, in the order of the slices.
        uid: SeriesInstanceUID.
        modality: Modality, e.g. ``MR``.
        description: SeriesDescription.
    """

    folder: Path
    names: tuple[str, ...]
    uid: str
    modality: str = ""
    description: str = ""

    @property
    def path(self) -> Path:
        return self.folder

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(self.folder / name for name in self.names)

    def grid(self) -> Grid:
        return Grid.from_image(self.read())

    def check(self) -> None:
        self.read()

    def read(self) -> sitk.Image:
        return _read_series(self)


@lru_cache(maxsize=1)
def _read_series(series: DicomSeries) -> sitk.Image:
    """Read the image. The last one is cached, because a case needs its grid and its voxels."""
    files = [str(file) for file in series.files]
    headers = [read_header(file) for file in series.files]
    _check_damaged(series, headers[0])
    check_positions(headers, series.folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    try:
        return reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise PasegError(f"{series.folder}: the series cannot be read ({reason}): download it again.") from error


def _check_damaged(series: DicomSeries, header: Mapping[str, str]) -> None:
    """Raise PasegError if a file of the series cannot be read: GDCM silently leaves it out."""
    for file in sorted(path for path in series.folder.iterdir() if path.is_file() and path.name not in series.names):
        with file.open("rb") as content:
            start = content.read(1 << 16)
        is_slice = start[128:132] == b"DICM" and header.get(SOP_CLASS, "").encode() in start[:1024]
        if is_slice and series.uid.encode() in start and not read_header(file):
            raise PasegError(f"{file} is a slice of the series and cannot be read: download it again.")


def check_positions(headers: Sequence[Mapping[str, str]], folder: Path) -> None:
    """Raise PasegError if slices are missing or sheared: readers would compress or straighten them.

    Args:
        headers: Tags of the slices, in order.
        folder: Folder of the series, for messages.
    """
    if len(headers) < 2:
        raise PasegError(f"{folder} contains {len(headers)} slice(s) of the series: download it again.")
    if not all(header.get(POSITION) and header.get(ORIENTATION) for header in headers):
        raise PasegError(f"{folder}: a slice has no position (ImagePositionPatient): download it again.")
    try:
        axes = np.array([header[ORIENTATION].split("\\") for header in headers], dtype=float).reshape(-1, 2, 3)
        positions = np.array([header[POSITION].split("\\") for header in headers], dtype=float).reshape(-1, 3)
    except ValueError as error:
        raise PasegError(
            f"{folder}: the position of a slice is no number ({error}): download the series again."
        ) from error
    if not (np.isfinite(axes).all() and np.isfinite(positions).all()):
        raise PasegError(f"{folder}: the position of a slice is no number: download the series again.")
    if np.abs(axes - axes[0]).max() > SAME_ORIENTATION:
        raise PasegError(f"{folder}: the slices have different orientations: export them as separate series.")
    normal = np.cross(*axes[0])
    steps = np.diff(positions @ normal)
    usual = float(np.median(steps))
    if not usual:
        raise PasegError(f"{folder}: several slices have the same position: download the series again.")
    worst = int(np.abs(steps - usual).argmax())
    if abs(steps[worst] - usual) > 0.1 * abs(usual):
        raise PasegError(
            f"{folder}: slices {worst} and {worst + 1} of {len(headers)} are {steps[worst]:.3g} mm apart, all others "
            f"{usual:.3g} mm: slices are missing, download the series again."
        )
    stack = positions[-1] - positions[0]
    tilt = float(np.degrees(np.arccos(np.clip(abs(stack @ normal) / np.linalg.norm(stack), 0, 1))))
    if tilt > MAX_TILT:
        raise PasegError(
            f"{folder}: the slices are shifted against each other, by a gantry tilt of {tilt:.1f} degrees: correct the "
            "tilt first, for example with dcm2niix."
        )


def read_header(file: Path) -> dict[str, str]:
    """Return the tags of a DICOM image, or nothing for any other file."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return {}
    return {key: reader.GetMetaData(key).strip() for key in reader.GetMetaDataKeys()}


def find_series(folder: Path) -> list[DicomSeries]:
    """Find the image series whose files are in a folder."""
    found = []
    # GDCM warns of folders without series.
    warns = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
            names = tuple(Path(n).name for n in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid))
            header = read_header(folder / names[0]) if names else {}
            if header:
                found.append(DicomSeries(folder, names, uid, header.get(MODALITY, ""), header.get(DESCRIPTION, "")))
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(warns)
    return found


@dataclass(frozen=True)
class Structure:
    """A contoured structure.

    Attributes:
        name: Name of the structure.
        contours: Closed contours, (n, 3) points each, world LPS millimetres.
    """

    name: str
    contours: tuple[npt.NDArray[np.float64], ...]


def read_structures(file: Path) -> tuple[set[str], list[Structure]]:
    """Return the image series that an RT structure set refers to, and its structures. Other files have neither.

    Raises:
        PasegError: The package pydicom is not installed, or the file cannot be read.
    """
    try:
        import pydicom
    except ImportError as error:
        raise PasegError(
            f"Reading the RT structures {file} requires pydicom: pip install pydicom (or use masks as NIfTI files)."
        ) from error
    try:
        data = pydicom.dcmread(file, stop_before_pixels=True)
    except Exception as error:  # whatever pydicom raises for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise PasegError(f"{file} cannot be read as DICOM ({reason}): download it again.") from error
    try:
        return _structures(data) if data.get("Modality") == "RTSTRUCT" else (set(), [])
    except Exception as error:  # pydicom converts values when they are used, and raises whatever the conversion raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise PasegError(f"{file} is no RT structure set that can be read ({reason}): download it again.") from error


def _structures(data: Any) -> tuple[set[str], list[Structure]]:
    """Return the image series that a data set refers to, and its structures."""
    references = {
        str(series.SeriesInstanceUID)
        for frame in data.get("ReferencedFrameOfReferenceSequence", [])
        for study in frame.get("RTReferencedStudySequence", [])
        for series in study.get("RTReferencedSeriesSequence", [])
    }
    contours = {
        int(roi.ReferencedROINumber): tuple(
            np.asarray(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            for contour in roi.get("ContourSequence", [])
            if contour.get("ContourGeometricType", "CLOSED_PLANAR") == "CLOSED_PLANAR"
        )
        for roi in data.get("ROIContourSequence", [])
    }
    structures = [
        Structure(str(roi.ROIName), contours.get(int(roi.ROINumber), ()))
        for roi in data.get("StructureSetROISequence", [])
    ]
    return references, structures
