"""DICOM image series, and the contours of RT structure sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import Grid

MODALITY, DESCRIPTION, SERIES, POSITION = "0008|0060", "0008|103e", "0020|000e", "0020|0032"
ORIENTATION = "0020|0037"


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
    _check_positions(files, series.folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    try:
        return reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise PasegError(f"{series.folder}: the series cannot be read ({reason}): download it again.") from error


def _check_positions(files: list[str], folder: Path) -> None:
    """Raise PasegError if slices are missing: readers would compress the remaining ones."""
    if len(files) < 2:
        raise PasegError(f"{folder} contains {len(files)} slice(s) of the series: download it again.")
    headers = [read_header(Path(file)) for file in files]
    if not all(header.get(POSITION) and header.get(ORIENTATION) for header in headers):
        raise PasegError(f"{folder}: a slice has no position (ImagePositionPatient): download it again.")
    axes = np.array(headers[0][ORIENTATION].split("\\"), dtype=float).reshape(2, 3)
    positions = np.array([header[POSITION].split("\\") for header in headers], dtype=float)
    steps = np.diff(positions @ np.cross(*axes))
    usual = float(np.median(steps))
    worst = int(np.abs(steps - usual).argmax())
    if abs(steps[worst] - usual) > 0.1 * abs(usual):
        raise PasegError(
            f"{folder}: slices {worst} and {worst + 1} of {len(files)} are {steps[worst]:.2f} mm apart, all others "
            f"{usual:.2f} mm: slices are missing, download the series again."
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
    except (pydicom.errors.InvalidDicomError, OSError, EOFError) as error:
        raise PasegError(f"{file} cannot be read as DICOM ({error}): download it again.") from error
    if data.get("Modality") != "RTSTRUCT":
        return set(), []
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
