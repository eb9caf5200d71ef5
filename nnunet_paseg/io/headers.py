"""Headers of image files: where the voxels are, and values that ITK would replace without an error.

ITK reads voxel sizes of 0 or NaN as 1, an origin of NaN as 0, and decimal commas as the end of a number.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.voxel_data import VoxelData, damaged

NIFTI, NRRD, META = (".nii.gz", ".nii"), (".nrrd",), (".mha", ".mhd")

_MAX_LINES = 10_000
_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "MET_CHAR"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t", "MET_UCHAR"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t", "MET_SHORT"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t", "MET_USHORT"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "MET_INT", "MET_LONG"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t", "MET_UINT", "MET_ULONG"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    **dict.fromkeys(("float", "MET_FLOAT"), "f4"),
    **dict.fromkeys(("double", "MET_DOUBLE"), "f8"),
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
}
"""NumPy type by the names of NRRD and MetaImage."""


def voxel_data(path: Path) -> VoxelData:
    """Return the place and the type of the voxels of an image file, from its header.

    Raises:
        PasegError: The header is damaged, not supported, or contains a size or an origin that is no number.
    """
    name = path.name.lower()
    try:
        if name.endswith(NIFTI):
            return _nifti(path)
        if name.endswith(NRRD):
            return _nrrd(path)
        if name.endswith(META):
            return _meta(path)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, str(error)) from error
    raise PasegError(f"{path} is no image that can be read: expected one of {', '.join(NIFTI + NRRD + META)}.")


def image_files(path: Path) -> tuple[Path, ...]:
    """Return an image file, and the file of its voxels if they are in a file of their own.

    Raises:
        PasegError: As in :func:`voxel_data`.
    """
    return tuple(dict.fromkeys((path, voxel_data(path).file)))


def nifti_header(path: Path) -> np.void | None:
    """Return the raw header of a NIfTI file, a record with the field names of the standard; None if it has none."""
    from nibabel import nifti1, nifti2

    with path.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if is_compressed else open)(path, "rb") as file:
        head = file.read(nifti2.header_dtype.itemsize)
    for header_type in (nifti1.header_dtype, nifti2.header_dtype):
        for order_type in (header_type.newbyteorder("<"), header_type.newbyteorder(">")):
            if len(head) >= header_type.itemsize:
                header = np.frombuffer(head, order_type, 1)[0]
                if header["sizeof_hdr"] == header_type.itemsize and header["magic"] in (b"n+1", b"n+2"):
                    return header  # type: ignore[no-any-return]
    return None


def _nifti(path: Path) -> VoxelData:
    from nibabel import nifti1

    header = nifti_header(path)
    if header is None:
        raise PasegError(f"Cannot read the image {path} (it has no NIfTI header): copy or export it again.")
    dimensions = int(header["dim"][0])
    shape = [int(size) for size in header["dim"][1 : 1 + dimensions]]
    if not 1 <= dimensions <= 7 or min(shape) < 1:
        raise damaged(path, f"dim is {header['dim'].tolist()}")
    _check_numbers(path, "voxel sizes (pixdim)", header["pixdim"][1 : 1 + min(dimensions, 3)], nonzero=True)
    if header["qform_code"] > 0:
        _check_numbers(path, "qform", [header[key] for key in _QFORM])
    if header["sform_code"] > 0:
        _check_numbers(path, "sform", [number for axis in "xyz" for number in header[f"srow_{axis}"]])
    offset, first = float(header["vox_offset"]), int(header["sizeof_hdr"]) + 4
    if not (offset >= first and offset.is_integer()):
        raise damaged(path, f"vox_offset is {offset:g}, {first} or more is expected")
    try:
        kind: Any = nifti1.data_type_codes.dtype[int(header["datatype"])]
    except KeyError as error:
        raise damaged(path, f"datatype is {header['datatype']}") from error
    order = header.dtype["sizeof_hdr"].byteorder
    with path.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    size = math.prod(shape) * kind.itemsize
    # As in ITK: without a slope, an intercept is added all the same.
    slope, intercept = (
        float(value) if np.isfinite(value) else 0.0 for value in (header["scl_slope"], header["scl_inter"])
    )
    return VoxelData(path, path, 0, is_compressed, int(offset), size, kind.newbyteorder(order), slope or 1.0, intercept)


_QFORM = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")


def _nrrd(path: Path) -> VoxelData:
    with path.open("rb") as file:
        if not file.readline().startswith(b"NRRD000"):
            raise damaged(path, "no NRRD header")
        fields = {key.replace(" ", "").lower(): value for key, value in _fields(path, file, ": ", end="").items()}
        start = file.tell()
    shape = _integers(path, "sizes", fields.get("sizes", ""))
    _check_dimensions(path, "dimension", fields.get("dimension", ""), len(shape))
    for name in ("spacings", "spacedirections", "spaceorigin", "axismins", "axismaxs"):
        numbers = re.sub(r"[(),]", " ", fields.get(name, "")).split()
        is_optional = len(shape) != 3 and name != "spaceorigin"  # of axes that are not spatial
        _check_numbers(path, name, [n for n in numbers if not (is_optional and n.lower() in ("none", "nan"))])
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise PasegError(f"{path} has the encoding '{encoding}', which cannot be checked: save it as raw or gzip.")
    if fields.get("lineskip", "0") != "0" or fields.get("byteskip", "0") != "0":
        raise PasegError(f"{path} skips a part of its data, which cannot be checked: save it again, e.g. as .nii.gz.")
    return _after_text(
        path,
        fields.get("datafile"),
        start,
        kind=fields.get("type", ""),
        count=math.prod(shape),
        order=">" if fields.get("endian", "").lower() == "big" else "<",
        compressed=encoding != "raw",
    )


def _meta(path: Path) -> VoxelData:
    with path.open("rb") as file:
        fields = _fields(path, file, "=", end="ElementDataFile")
        start = file.tell()
    shape = _integers(path, "DimSize", fields.get("DimSize", ""))
    _check_dimensions(path, "NDims", fields.get("NDims", ""), len(shape))
    sizes, axes = len(shape), len(shape) ** 2
    for names, count in (
        (("ElementSpacing", "ElementSize"), sizes),
        (("Offset", "Position", "Origin"), sizes),
        (("TransformMatrix", "Rotation", "Orientation"), axes),
    ):
        for name in names:
            if name in fields:
                numbers = fields[name].split()
                if len(numbers) != count:
                    raise damaged(path, f"{name} is '{fields[name]}', {count} numbers are expected")
                _check_numbers(path, name, numbers, nonzero=name == "ElementSpacing")
    if not _is_true(fields.get("BinaryData", "True")):
        raise PasegError(f"{path} contains its voxels as text, which cannot be checked: save it as binary data.")
    if fields.get("HeaderSize", "0") != "0":
        raise PasegError(f"{path} skips a part of its data, which cannot be checked: save it again, e.g. as .nii.gz.")
    data = None if fields["ElementDataFile"].upper() == "LOCAL" else fields["ElementDataFile"]
    compressed = _is_true(fields.get("CompressedData", "False"))
    if compressed and data is None and fields.get("CompressedDataSize") != str(path.stat().st_size - start):
        raise damaged(path, "its compressed voxels are not as long as its header declares")
    msb = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False"))
    channels = _integers(path, "ElementNumberOfChannels", fields.get("ElementNumberOfChannels", "1"))
    return _after_text(
        path,
        data,
        start,
        kind=fields.get("ElementType", "").removesuffix("_ARRAY"),
        count=math.prod(shape + channels),
        order=">" if _is_true(msb) else "<",
        compressed=compressed,
    )


def _after_text(
    path: Path, detached: str | None, start: int, *, kind: str, count: int, order: str, compressed: bool
) -> VoxelData:
    """Return the voxels after a text header, or in a file of their own."""
    if kind not in _TYPES:
        raise damaged(path, f"unknown type '{kind}'")
    if detached == "" or not (detached or "").isprintable():
        raise damaged(path, "its header names no file of voxels")
    if detached is not None and ("%" in detached or detached.split()[0] == "LIST"):
        raise PasegError(f"{path} is in several files, which cannot be checked: save it as one, e.g. .nii.gz.")
    dtype = np.dtype(order + _TYPES[kind])
    file, start = (path, start) if detached is None else (path.parent / detached, 0)
    return VoxelData(path, file, start, compressed, 0, count * dtype.itemsize, dtype)


def _fields(path: Path, file: BinaryIO, separator: str, *, end: str) -> dict[str, str]:
    """Return the fields of a text header, up to the blank line or the field ``end``, which is included."""
    fields: dict[str, str] = {}
    for _ in range(_MAX_LINES):
        line = file.readline(1 << 16)
        if not line.endswith(b"\n"):
            break
        text = line.decode("latin-1").strip()
        if not text and not end:
            return fields
        key, found, value = text.partition(separator)
        key = key.strip()
        if found and not text.startswith("#") and ":=" not in text:
            if key in fields:
                raise damaged(path, f"its header contains '{key}' twice")
            fields[key] = value.strip()
            if key == end:
                return fields
    raise damaged(path, "its header has no end")


def _integers(path: Path, name: str, text: str) -> list[int]:
    if not re.fullmatch(r"[1-9]\d{0,9}(\s+[1-9]\d{0,9})*", text):
        raise damaged(path, f"{name} is '{text}'")
    return [int(number) for number in text.split()]


def _check_dimensions(path: Path, name: str, text: str, expected: int) -> None:
    if text != str(expected):
        raise damaged(path, f"{name} is '{text}', but there are {expected} sizes")


def _is_true(text: str) -> bool:
    return text[:1].upper() in ("T", "1", "Y")


def _check_numbers(path: Path, name: str, numbers: Sequence[Any], *, nonzero: bool = False) -> None:
    """Raise PasegError unless all numbers of a header field are finite, and not zero where sizes are due."""
    shown = ", ".join(str(number) for number in numbers)
    for number in numbers:
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (nonzero and value == 0):
            raise PasegError(f"{path} has a header with {name} of ({shown}): repair it, or export the image again.")
