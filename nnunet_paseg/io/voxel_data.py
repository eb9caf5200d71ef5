"""Voxel data in a file: whether all of it is there, by its checksum, or block by block without ITK.

ITK fills missing voxels with zeros, ignores checksums and reads NaN in NIfTI files as 0, each without an error.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError

BLOCK = 1 << 22
"""Number of bytes that are read or decompressed at once."""

MAX_RATIO = 1032
"""Largest compression ratio of deflate. A header that declares more voxels is wrong: no memory is taken for it."""


@dataclass(frozen=True)
class VoxelData:
    """The place and the type of an image's voxels.

    Attributes:
        image: Image file, for messages.
        file: File with the voxels, usually the image file itself.
        start: First byte of the data in the file.
        compressed: Whether the data are a zlib stream or gzip members.
        skip: Number of (decompressed) bytes before the voxels.
        size: Number of (decompressed) bytes of the voxels.
        dtype: Type of one voxel, with its byte order.
        slope: Factor by which ITK multiplies the values.
        intercept: Summand that ITK adds to the product.
    """

    image: Path
    file: Path
    start: int
    compressed: bool
    skip: int
    size: int
    dtype: np.dtype[Any]
    slope: float = 1.0
    intercept: float = 0.0


def damaged(path: Path, reason: str) -> PasegError:
    """Return the error for an image that lacks voxels, or whose voxels do not fit its header."""
    return PasegError(f"{path} is truncated or damaged ({reason}): copy or export it again.")


def check_complete(data: VoxelData) -> None:
    """Raise PasegError unless a file contains all voxels that its header declares, and nothing else.

    Raises:
        PasegError: Voxels are missing, damaged, NaN or infinite, or the file is longer than its header declares.
    """
    declared, is_float = data.skip + data.size, data.dtype.kind in "fc"
    try:
        available = data.file.stat().st_size - data.start
        if declared > available * (MAX_RATIO if data.compressed else 1):
            raise damaged(data.image, f"its header declares {declared:,} bytes, {data.file.name} has {available:,}")
        if not data.compressed and available != declared:
            raise damaged(data.image, f"{data.file.name} has {available - declared:,} bytes more than declared")
        if data.compressed or is_float:
            length, bad = _count(data, is_float=is_float)
            if length != declared:
                raise damaged(data.image, f"its header declares {declared:,} bytes, it contains {length:,} or more")
            check_finite(data.image, bad)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(data.image, str(error)) from error


def stored_checksum(data: VoxelData) -> int | None:
    """Return the CRC-32 at the end of gzip data, None if they do not end with the number of bytes that is declared.

    With this number the header is plausible, so that memory for its voxels can be taken.
    """
    declared = data.skip + data.size
    try:
        with data.file.open("rb") as file:
            file.seek(data.start)
            is_gzip = data.compressed and file.read(2) == b"\x1f\x8b"
            available = data.file.stat().st_size - data.start
            if not is_gzip or not _TRAILER.size < available or declared > available * MAX_RATIO:
                return None
            file.seek(-_TRAILER.size, 2)
            checksum, size = _TRAILER.unpack(file.read())
    except OSError:
        return None
    return checksum if size == declared % 2**32 else None


_TRAILER = struct.Struct("<II")
"""End of a gzip member: CRC-32 of its content, and its size modulo 2^32."""


def checksum_of(data: VoxelData, voxels: npt.NDArray[Any]) -> int | None:
    """Return the CRC-32 that the data have if a file was read completely and unchanged.

    None means unknown: the values are of a different type than in the file, as floating-point numbers after scaling.

    Args:
        data: Place and type of the voxels in the file.
        voxels: Voxels that were read, planes first.
    """
    is_scaled = data.dtype.kind in "iu" and (data.slope, data.intercept) != (1, 0)
    if not (is_scaled or voxels.dtype == data.dtype.newbyteorder("=")) or data.skip > BLOCK:
        return None
    try:
        checksum = zlib.crc32(next(_blocks(data), b"")[: data.skip])
    except (OSError, EOFError, zlib.error):
        return None
    for plane in voxels:  # one at a time: a different byte order takes a copy
        stored = _unscaled(plane, data) if is_scaled else np.ascontiguousarray(plane, data.dtype)
        checksum = zlib.crc32(stored.data, checksum)
    return checksum


def _unscaled(plane: npt.NDArray[Any], data: VoxelData) -> npt.NDArray[Any]:
    """Return the integers in the file. Where scaling has rounded them away, the checksum becomes a different one."""
    values = plane.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        values -= data.intercept
        values /= data.slope
        return np.rint(values).astype(data.dtype)


def check_finite(path: Path, count: int) -> None:
    """Raise PasegError if an image contains voxels that are not finite.

    Args:
        path: Image file.
        count: Number of voxels that are NaN or infinite.
    """
    if count:
        raise PasegError(f"{path} contains {count} NaN or infinite voxels: repair it.")


def _count(data: VoxelData, *, is_float: bool) -> tuple[int, int]:
    """Return the number of bytes, at most one block beyond the declared ones, and of values that are not finite."""
    length, bad, rest = 0, 0, b""
    number = data.dtype if data.dtype.kind != "c" else np.dtype(f"{data.dtype.byteorder}f{data.dtype.itemsize // 2}")
    for block in _blocks(data):
        voxels = block[max(0, data.skip - length) :]
        length += len(block)
        if length > data.skip + data.size:
            break
        if is_float:
            rest += voxels
            whole = len(rest) - len(rest) % number.itemsize
            bad += int((~np.isfinite(np.frombuffer(rest[:whole], number))).sum())
            rest = rest[whole:]
    return length, bad


def _blocks(data: VoxelData) -> Iterator[bytes]:
    with data.file.open("rb") as file:
        file.seek(data.start)
        if data.compressed:
            yield from _inflate(file)
        else:
            while block := file.read(BLOCK):
                yield block


def _inflate(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of a zlib stream or of gzip members, whose checksums zlib compares."""
    decoder, pending = zlib.decompressobj(47), b""  # 47: zlib or gzip, by their first bytes
    while True:
        pending = pending or file.read(BLOCK)
        block = decoder.decompress(pending, BLOCK)
        if block:
            yield block
        if decoder.eof:
            pending = decoder.unused_data or file.read(BLOCK)
            if not pending.strip(b"\0"):  # padding
                return
            decoder = zlib.decompressobj(47)
            continue
        if not block and not pending:
            raise EOFError("Compressed file ended before the end-of-stream marker was reached")
        pending = decoder.unconsumed_tail
