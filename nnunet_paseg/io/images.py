"""Medical image files, read strictly and in one way by every command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.geometry import TOLERANCE, FloatArray, Geometry, corner_distance, geometry_of
from nnunet_paseg.io.headers import META, NIFTI, nifti_header, voxel_data
from nnunet_paseg.io.voxel_data import check_complete, check_finite, checksum_of, stored_checksum

if TYPE_CHECKING:
    import SimpleITK as sitk


def read_image(path: Path) -> sitk.Image:
    """Read a 3D image with one value per voxel.

    Raises:
        PasegError: The file is missing, truncated, damaged or no such image, or contains NaN or infinite voxels.
    """
    header = read_header(path)
    declared = _geometry(path, header)
    image = read_voxels(path, header)
    if not _geometry(path, image).is_same_grid(declared):
        raise PasegError(f"{path} has a header that differs from the image that ITK reads: export the image again.")
    return image


def read_voxels(path: Path, header: sitk.ImageFileReader) -> sitk.Image:
    """Read an image of any dimension, and check that all its voxels are there.

    Args:
        path: Image file.
        header: Reader that has read its header.

    Raises:
        PasegError: The file is truncated or damaged, or contains NaN or infinite voxels.
    """
    import SimpleITK as sitk

    # Decompressed once: if the voxels that ITK returns have the checksum in the file, all of them are there.
    data = voxel_data(path)
    checksum = stored_checksum(data)
    if checksum is None:
        check_complete(data)
    try:
        image = header.Execute()
    except RuntimeError as error:
        check_complete(data)
        raise unreadable(path, error) from error
    voxels = sitk.GetArrayViewFromImage(image)
    planes = voxels.reshape(-1, *voxels.shape[-2:])
    if checksum is not None and checksum != checksum_of(data, planes):
        check_complete(data)
    if voxels.dtype.kind in "fc":  # after scaling, slope and intercept included; a copy of one plane at a time
        check_finite(path, sum(int((~np.isfinite(plane)).sum()) for plane in planes))
    return image


def read_array(path: Path) -> npt.NDArray[Any]:
    """Read the voxels (z, y, x) of a 3D image, as :func:`read_image` does."""
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(read_image(path))


def read_labels(path: Path) -> tuple[npt.NDArray[np.integer], sitk.Image]:
    """Read a label map: its voxels (z, y, x) as integers, and the image.

    Raises:
        PasegError: The file cannot be read by :func:`read_image`, or contains values that are not integers.
    """
    import SimpleITK as sitk

    image = read_image(path)
    labels = sitk.GetArrayFromImage(image)
    if labels.dtype.kind in "iu":
        return labels, image
    limit = np.iinfo(np.int32).max
    for plane in labels:
        wrong = (plane != np.rint(plane.real)) | (np.abs(plane) > limit)
        if wrong.any():
            raise PasegError(
                f"{path}: not a label map: it contains values that are not integers, e.g. {plane[wrong][0]:g}: "
                "pass label maps, not images."
            )
    return labels.real.astype(np.int32), image


def read_header(path: Path) -> sitk.ImageFileReader:
    """Read the header of a medical image file, and return the reader that has read it.

    Raises:
        PasegError: The file is missing, no image, or its header contains a size or an origin that is no number.
    """
    import SimpleITK as sitk

    name = path.name
    if name.lower().endswith(NIFTI) and not name.endswith((*NIFTI, ".NII", ".NII.GZ")):
        raise PasegError(f"{path} cannot be read by its name: rename it, with the suffix in lower case.")
    if name.lower().endswith(".nii.gz") and path.with_name(name[:-3]).exists():
        raise PasegError(f"{path}: ITK takes the voxels from {name[:-3]} next to it: remove one of the two files.")
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # which ends the process in SimpleITK
        raise PasegError(f"{str(path)!r} has a name that is not UTF-8: rename it.") from error
    if not path.exists():
        raise PasegError(f"Cannot read the image {path}: it is missing.")
    voxel_data(path)  # first: wrong numbers in a header can end the process in ITK, or keep it busy for ever
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if name.lower().endswith(META):
        reader.SetImageIO("MetaImageIO")  # which ITK finds by suffixes in lower case only
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise unreadable(path, error) from error
    return reader


def check_voxels(path: Path) -> None:
    """Read a file of any dimension to its end, block by block, without keeping it.

    Raises:
        PasegError: The file is missing, truncated or damaged, or contains NaN or infinite voxels.
    """
    read_header(path)
    check_complete(voxel_data(path))


def header_warning(path: Path) -> str | None:
    """Return a warning if the qform and the sform of a NIfTI header are not the same grid, or None.

    Raises:
        PasegError: The header cannot be read.
    """
    header = read_header(path)
    raw = nifti_header(path) if path.name.lower().endswith(NIFTI) else None
    if raw is None or len(header.GetSize()) != 3:
        return None
    read = _geometry(path, header)
    apart = {name: corner_distance(read.affine, affine, read.size) for name, affine in _nifti_affines(raw).items()}
    wrong = {name: distance for name, distance in apart.items() if distance > TOLERANCE}
    if not wrong:
        return None
    other, distance = max(wrong.items(), key=lambda item: item[1])
    used = next((name for name in apart if name not in wrong), "voxel sizes")
    by_nibabel = "sform" if "sform" in apart else "qform"
    others = f"nibabel uses the {by_nibabel}" if by_nibabel != used else f"some other tools use the {other}"
    return (
        f"{path}: the {used} and the {other} of its header are {distance:.3g} voxels apart at a corner. SimpleITK "
        f"(nnU-Net, this package), 3D Slicer and ITK-SNAP use the {used}, {others}: click and predict with tools "
        "that use the same one, or save the image again with the tool that shows it correctly"
    )


def _nifti_affines(header: np.void) -> dict[str, FloatArray]:
    """Return the matrices (4, 4) of a NIfTI header to world LPS millimetres, by their names."""
    from scipy.spatial.transform import Rotation

    affines: dict[str, FloatArray] = {}
    if header["qform_code"] > 0:
        b, c, d = (float(header[f"quatern_{name}"]) for name in "bcd")
        matrix = np.eye(4)
        real = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
        mirrored = -1 if header["pixdim"][0] < 0 else 1
        sizes = np.abs(header["pixdim"][1:4].astype(np.float64)) * (1, 1, mirrored)
        matrix[:3, :3] = Rotation.from_quat([b, c, d, real]).as_matrix() * sizes
        matrix[:3, 3] = [header[f"qoffset_{axis}"] for axis in "xyz"]
        affines["qform"] = matrix
    if header["sform_code"] > 0:
        affines["sform"] = np.array([*(header[f"srow_{axis}"] for axis in "xyz"), (0, 0, 0, 1)], dtype=np.float64)
    unit = {1: 1000.0, 3: 0.001}.get(int(header["xyzt_units"]) & 7, 1.0)  # metres, micrometres
    return {name: np.diag([-unit, -unit, unit, 1]) @ affine for name, affine in affines.items()}


def _geometry(path: Path, image: sitk.Image | sitk.ImageFileReader) -> Geometry:
    try:
        return geometry_of(image)
    except PasegError as error:
        raise PasegError(f"{path}: {error}") from error


def unreadable(path: Path, error: RuntimeError) -> PasegError:
    """Return the error for an image that SimpleITK cannot read, with the reason that ITK gives."""
    # The reason comes last; a line "Reason:" below it is merely the last failure of the operating system, of any kind.
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("Reason: ")]
    reason = lines[-1].rpartition("ERROR: ")[2] if lines else type(error).__name__
    reason = re.sub(r"^\w+\(0x[0-9a-f]+\): ", "", reason)
    return PasegError(f"Cannot read the image {path} ({reason.rstrip('.!')}): copy or export it again.")
