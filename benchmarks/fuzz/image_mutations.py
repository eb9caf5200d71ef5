"""Mutations of image files in all formats, with a known right answer or of values."""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.text_mutations import Mutated, Rng, changed_bytes, pick

HUGE = ("2000000000", "32767", "99999999999999999999", "-1", "0", "nan", "1e9", "", "abc")

NIFTI_FIELDS: tuple[tuple[int, str, Sequence[Any]], ...] = (
    (0, "<i", (0, 347, 540, 1543569408)),  # sizeof_hdr
    (40, "<h", (0, 2, 4, 8, -1)),  # dim[0]
    *((40 + 2 * axis, "<h", (0, -5, 1, 200, 32767)) for axis in (1, 2, 3)),
    (48, "<h", (0, 1, 2, -1)),  # dim[4]
    (70, "<h", (0, 1, 3, 1999, -4)),  # datatype
    (72, "<h", (0, 1, 7, 64)),  # bitpix
    *((76 + 4 * axis, "<f", (0.0, float("nan"), float("inf"), "negative")) for axis in (1, 2, 3)),  # pixdim
    (108, "<f", (0.0, 348.0, 1e9, float("nan"), -1.0, 356.0)),  # vox_offset
    (112, "<f", (float("nan"), float("inf"), 0.0)),  # scl_slope
    *((268 + 4 * axis, "<f", (float("nan"), float("inf"))) for axis in range(3)),  # qoffset
    *((280 + 4 * number, "<f", (float("nan"), float("inf"))) for number in range(12)),  # srow
    (344, "<4s", (b"n+1\0", b"ni1\0", b"abc\0", b"\0\0\0\0")),  # magic
)
"""Offset, type and values of fields; with each, the image is the same or cannot be what was saved."""

TEXT_FIELDS = {
    "nrrd": {
        "sizes": ("16 20", "28 20 16 2", *(f"28 20 {size}" for size in HUGE), "28 20 17", "28 20 15"),
        "dimension": ("2", "4", *HUGE),
        "type": ("double", "block", "", "foo"),
        "encoding": ("hex", "ascii", "foo", ""),
        "space directions": ("none none none", "(0,0,0) (0,1,0) (0,0,1)", "(nan,0,0) (0,1,0) (0,0,1)", ""),
        "space origin": ("(nan,0,0)", "(inf,0,0)", "(1,2)", "foo"),
    },
    "mha": {
        "NDims": ("2", "4", *HUGE),
        "DimSize": ("28 20", "28 20 16 2", *(f"28 20 {size}" for size in HUGE), "28 20 17", "28 20 15"),
        "ElementType": ("MET_DOUBLE", "MET_FOO", ""),
        "ElementSpacing": ("0 1 1", "nan 1 1", "inf 1 1", "1 1"),
        "ElementDataFile": ("missing.raw", "", "LIST", "../image.raw"),
        "Offset": ("nan 0 0", "inf 0 0", "1 2"),
        "TransformMatrix": ("0 0 0 0 0 0 0 0 0", "nan 0 0 0 1 0 0 0 1", "1 0 0 1"),
    },
}
"""Values of header fields of text headers; with each, the image cannot be what was saved."""


def mutate_image(files: Sequence[Path], rng: Rng) -> Mutated:
    """Mutate one file of an image, in place.

    Args:
        files: The image, and for ``.mhd`` the file of its voxels.
        rng: Source of all randomness.

    Returns:
        The mutation; its data are those of the changed file.
    """
    path = files[0]
    way = int(rng.integers(8))
    if way <= 2:
        changed = files[-1] if way else path
        data = changed.read_bytes()
        # The last bytes of a compressed file are its checksum, which not every reader tests.
        mutated = Mutated("truncation", True, data[: int(rng.integers(len(data)))])
    elif way <= 5:
        changed, mutated = path, _header_field(path, rng)
    else:
        changed = files[int(rng.integers(len(files)))]
        data = changed.read_bytes()
        if changed.name.endswith(".nii.gz") and rng.integers(2):
            mutated = Mutated("values", False, gzip.compress(_near_start(gzip.decompress(data), rng)))
        else:
            mutated = Mutated("values", False, _near_start(data, rng) if rng.integers(2) else changed_bytes(data, rng))
    changed.write_bytes(mutated.data)
    return mutated


def _near_start(data: bytes, rng: Rng) -> bytes:
    """Change bytes of the header."""
    return changed_bytes(data[:360], rng) + data[360:]


def _header_field(path: Path, rng: Rng) -> Mutated:
    data = path.read_bytes()
    if path.name.endswith((".nii", ".nii.gz")):
        content = bytearray(gzip.decompress(data) if path.name.endswith(".gz") else data)
        offset, form, values = pick(rng, NIFTI_FIELDS)
        value = pick(rng, values)
        (old,) = struct.unpack_from(form, content, offset)
        struct.pack_into(form, content, offset, -old if value == "negative" else value)
        data = gzip.compress(bytes(content)) if path.name.endswith(".gz") else bytes(content)
        return Mutated("header fields", True, data, as_itk=value == "negative")
    fields = TEXT_FIELDS["nrrd" if path.suffix == ".nrrd" else "mha"]
    key = pick(rng, list(fields))
    value = pick(rng, fields[key])
    pattern = rf"(?m)^{key}( ?[:=] ?).*$".encode()
    assert re.search(pattern, data), (path, key)
    data = re.sub(pattern, lambda match: key.encode() + match[1] + str(value).encode(), data, count=1)
    return Mutated("header fields", True, data)


def change_voxels(values: np.ndarray[Any, Any], rng: Rng) -> np.ndarray[Any, Any]:
    """Return a painted label map with a few voxels of different values, in some maps NaN or fractions."""
    changed = values.astype(pick(rng, [np.uint8, np.int16, np.float32, np.float64]))
    choices: list[float] = [1, 2, 3, 4, 5, 40, 200]
    choices += [float("nan"), float("inf"), -1, 0.5, 1e30] if changed.dtype.kind == "f" else []
    for _ in range(int(rng.integers(1, 4))):
        changed[tuple(int(rng.integers(size)) for size in values.shape)] = pick(rng, choices)
    return changed
