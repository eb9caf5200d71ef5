"""Images of the few cases that are open: each is read once, and the oldest ones are dropped."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import CaseFiles
from nnunet_paseg.io.images import read_image
from nnunet_paseg.points.grid import Grid

MAX_BYTES = 512 << 20
"""Largest memory of all images together, unless the image of the current case alone is larger."""
MAX_CASES = 3


@dataclass
class OpenImage:
    """The images of one case, read when they are needed.

    Attributes:
        files: Image files of the case.
        grid: Grid of all channels.
        probabilities: Probabilities of expanded targets by their points.
    """

    files: CaseFiles
    grid: Grid
    probabilities: OrderedDict[Any, npt.NDArray[np.float32]] = field(default_factory=OrderedDict)
    _channels: dict[int, sitk.Image] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def voxels(self, channel: int) -> npt.NDArray[Any]:
        """Return a view of the voxels (z, y, x) of a channel."""
        with self._lock:
            if channel not in self._channels:
                self._channels[channel] = read_image(self.files.images[channel])
            return sitk.GetArrayViewFromImage(self._channels[channel])

    def all_channels(self) -> list[npt.NDArray[Any]]:
        """Return views of the voxels (z, y, x) of all channels."""
        return [self.voxels(channel) for channel in range(len(self.files.images))]

    @property
    def num_bytes(self) -> int:
        """Memory of the voxels and the probabilities."""
        images = sum(i.GetNumberOfPixels() * i.GetSizeOfPixelComponent() for i in list(self._channels.values()))
        return images + sum(probability.nbytes for probability in list(self.probabilities.values()))


class OpenImages:
    """The images of the cases that were used last."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, OpenImage] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, files: CaseFiles) -> OpenImage:
        """Return the images of a case, and drop those of other cases if they need too much memory.

        Raises:
            PasegError: The channels are on different grids, or a header cannot be read.
        """
        with self._lock:
            image = self._open.get(files.identifier)
            if image is None or image.files != files:
                image = OpenImage(files, common_grid(files.images))
                self._open[files.identifier] = image
            self._open.move_to_end(files.identifier)
            while len(self._open) > 1 and (
                len(self._open) > MAX_CASES or sum(other.num_bytes for other in self._open.values()) > MAX_BYTES
            ):
                self._open.popitem(last=False)
            return image


def common_grid(images: tuple[Path, ...]) -> Grid:
    """Return the grid of all channels, from their headers.

    Raises:
        PasegError: The channels are on different grids, or a header cannot be read.
    """
    grid = Grid.from_file(images[0])
    for path in images[1:]:
        if not Grid.from_file(path).same_as(grid):
            raise PasegError(f"{path} and {images[0]} are on different grids: resample them to the same grid.")
    return grid
