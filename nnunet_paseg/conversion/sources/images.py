"""Sources of the voxels of an image or a mask: a file, one channel of a 4D file, or any other reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_header, read_image, read_voxels
from nnunet_paseg.points.grid import Grid


class Source(Protocol):
    """One 3D image, independent of its storage. Sources can be compared, and sent to a different process."""

    @property
    def path(self) -> Path:
        """File or folder to name in messages."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are read."""

    def grid(self) -> Grid:
        """Return the voxel grid, from the header alone if possible."""

    def check(self) -> None:
        """Raise PasegError if voxels are missing or not finite."""

    def read(self) -> sitk.Image:
        """Return the checked image."""


@dataclass(frozen=True)
class InOneFile:
    """Base class of the sources of a single file."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)


@dataclass(frozen=True)
class ImageFile(InOneFile):
    """A 3D image in its own file."""

    def grid(self) -> Grid:
        return Grid.from_file(self.path)

    def check(self) -> None:
        check_file(self.path)

    def read(self) -> sitk.Image:
        self.check()
        return read_image(self.path)


@dataclass(frozen=True)
class Channel(InOneFile):
    """One channel of a 4D file with the channels on its last axis."""

    index: int

    def _header(self) -> sitk.ImageFileReader:
        reader = read_header(self.path)
        size = reader.GetSize()
        if len(size) != 4 or size[3] <= self.index:
            raise PasegError(
                f"{self.path}: channel {self.index} of a 4D image is needed, but its size is {size}: download it again."
            )
        return reader

    def grid(self) -> Grid:
        header = self._header()
        size, spacing = header.GetSize(), header.GetSpacing()
        direction = np.reshape(header.GetDirection(), (4, 4))[:3, :3]
        return Grid(
            shape=(size[2], size[1], size[0]),
            spacing_mm=(spacing[2], spacing[1], spacing[0]),
            origin=tuple(header.GetOrigin()[:3]),  # type: ignore[arg-type]
            direction=tuple(direction.ravel().tolist()),
        )

    def check(self) -> None:
        check_file(self.path)

    def read(self) -> sitk.Image:
        reader = self._header()
        self.check()
        reader.SetExtractSize([*reader.GetSize()[:3], 0])
        reader.SetExtractIndex([0, 0, 0, self.index])
        return reader.Execute()


def as_source(voxels: Path | Source) -> Source:
    """Return a source: a path is an image in its own file."""
    return ImageFile(voxels) if isinstance(voxels, Path) else voxels


def check_file(path: Path) -> None:
    """Read a file to its end.

    SimpleITK silently pads a truncated NIfTI file with zeros and reads NaN as zero.

    Raises:
        PasegError: The file is missing, truncated or damaged, or contains NaN or infinite voxels.
    """
    if not path.exists():
        raise PasegError(f"{path} is missing.")
    values = read_voxels(path)
    if values.dtype.kind in "fc" and not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise PasegError(f"{path} contains {bad} NaN or infinite voxels: repair it.")
