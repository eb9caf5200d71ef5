"""Files that are either whole or not there: everything is written under a temporary name and moved into place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt

from nnunet_paseg.errors import PasegError


@contextmanager
def moved_into_place(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` for a file or folder; it becomes ``path`` only if the block ends well.

    The temporary name keeps the suffix, since writers choose the format by it.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def write_json(content: Any, path: Path) -> None:
    """Write ``content`` as indented JSON, whole or not at all."""
    with moved_into_place(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_array(path: Path) -> npt.NDArray[Any]:
    """Voxel array (z, y, x) of a medical image file.

    Raises:
        PasegError: the file is missing, truncated or no image.
    """
    import SimpleITK as sitk  # some commands need none of this, and it loads slowly

    try:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise PasegError(f"Cannot read the image {path}: is it there, and a complete medical image?") from error
