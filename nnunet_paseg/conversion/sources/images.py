"""Sources of the voxels of an image or a mask: a file, one channel of a 4D file, or any other reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.geometry import as_read
from nnunet_paseg.io.headers import image_files
from nnunet_paseg.io.images import check_voxels, read_header, read_image, read_voxels
from nnunet_paseg.points.grid import Grid


class Source(Protocol):
    """One 3D image, independent of its storage. Sources can be compared, and sent to a different process."""

    @property
    def path(self) -> Path:
        """File or folder to name in messages."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are read. Raises PasegError if a header does not tell which."""

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

    @property
    def files(self) -> tuple[Path, ...]:
        return image_files(self.path)

    def grid(self) -> Grid:
        return Grid.from_file(self.path)

    def check(self) -> None:
        check_voxels(self.path)

    def read(self) -> sitk.Image:
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
        direction = np.reshape(header.GetDirection(), (4, 4))[:3, :3].ravel()
        try:
            size, spacing, origin = header.GetSize()[:3], header.GetSpacing()[:3], header.GetOrigin()[:3]
            return Grid.from_geometry(as_read(size, spacing, origin, direction.tolist()))
        except PasegError as error:
            raise PasegError(f"{self.path}: {error}") from error

    def check(self) -> None:
        check_voxels(self.path)

    def read(self) -> sitk.Image:
        image = read_voxels(self.path, self._header())
        channel = image[:, :, :, self.index]
        for key in image.GetMetaDataKeys():  # which ITK leaves out, e.g. NIfTI's description
            channel.SetMetaData(key, image.GetMetaData(key))
        return channel


def as_source(voxels: Path | Source) -> Source:
    """Return a source: a path is an image in its own file."""
    return ImageFile(voxels) if isinstance(voxels, Path) else voxels
