"""Random fields, blobs and tubes on the voxel grid of a phantom, with lengths in millimetres."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunet_paseg.errors import PasegError

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


class Canvas:
    """Shapes on a voxel grid (z, y, x); anisotropic voxels do not deform them."""

    def __init__(self, rng: np.random.Generator, shape_zyx: Sequence[int], spacing_mm: Sequence[float]) -> None:
        self.rng = rng
        self.shape = tuple(shape_zyx)
        self.spacing_mm = np.asarray(spacing_mm, dtype=np.float64)
        self.size_mm = np.array(self.shape) * self.spacing_mm
        axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(self.shape, self.spacing_mm, strict=True)]
        self.grid_mm = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)

    def field(self, scale_mm: float) -> FloatArray:
        """Return a Gaussian random field of mean 0 and variance 1; `scale_mm` is the SD of the smoothing."""
        # A smooth field is drawn on a coarser grid and interpolated, which is much faster.
        step = np.maximum(1, np.floor(scale_mm / self.spacing_mm / 1.5)).astype(int)
        coarse = [-(-n // s) + 2 for n, s in zip(self.shape, step, strict=True)]
        values = self.rng.standard_normal(coarse, dtype=np.float32)
        values = ndimage.gaussian_filter(values, scale_mm / (self.spacing_mm * step), mode="reflect")
        for axis, (n, s) in enumerate(zip(self.shape, step, strict=True)):
            at, part = np.divmod(np.arange(n), s)
            part = (part / s).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(3)])
            values = values.take(at, axis) * (1 - part) + values.take(at + 1, axis) * part
        return np.asarray((values - values.mean()) / values.std(), dtype=np.float32)

    def depth_mm(self, mask: BoolArray) -> FloatArray:
        """Return the distance of each voxel of the mask to the nearest voxel outside it or outside the array."""
        padded = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=self.spacing_mm)
        return np.asarray(padded[1:-1, 1:-1, 1:-1], dtype=np.float32)

    def distance_mm(self, mask: BoolArray) -> FloatArray:
        """Return the distance of each voxel to the nearest voxel of the mask."""
        return np.asarray(ndimage.distance_transform_edt(~mask, sampling=self.spacing_mm), dtype=np.float32)

    def blob(self, room: BoolArray, radius_mm: float) -> tuple[BoolArray, FloatArray]:
        """Return a deformed, rotated ellipsoid at a random place in `room`, smaller if the room is too narrow.

        Returns:
            Mask, one connected component within `room`, and level: 0 at its centre, 1 at its border.

        Raises:
            PasegError: There is no room left.
        """
        depth = self.depth_mm(room)
        if depth.max() < 2 * self.spacing_mm.max():
            raise PasegError(
                "no room left for another structure: make the phantom larger, or reduce the number of lesions"
            )
        radius_mm = min(radius_mm, float(depth.max()) / 0.8)
        centre = self.rng.choice(np.argwhere(depth >= 0.8 * radius_mm * 0.999))
        turn, _ = np.linalg.qr(self.rng.standard_normal((3, 3)))
        axes_mm = radius_mm * self.rng.uniform(0.75, 1.3, size=3)
        offset = self.grid_mm - self.grid_mm[:, centre[0], centre[1], centre[2]].reshape(3, 1, 1, 1)
        turned = np.tensordot((turn / axes_mm[:, None]).astype(np.float32), offset, axes=1)
        level = np.sqrt((turned**2).sum(axis=0)) * (1 + 0.16 * np.clip(self.field(0.6 * radius_mm), -2.5, 2.5))
        components, _ = ndimage.label((level < 1) & room)
        return components == components[tuple(centre)], np.asarray(level, dtype=np.float32)

    def tube(self, radius_mm: float) -> BoolArray:
        """Return the mask of a curved vessel from one end of the grid to the other, mostly along z."""
        along = np.linspace(-0.5, 0.5, 8 * max(self.shape))[:, None]
        start, slope, bend = (self.rng.uniform(-width, width, size=3) for width in (0.25, 0.4, 0.8))
        slope[0], start[0], bend[0] = 1.0, 0.0, 0.0
        path = (start + along * slope + along**2 * bend) * self.size_mm
        index = np.rint(path / self.spacing_mm + (np.array(self.shape) - 1) / 2).astype(int)
        index = index[np.all((index >= 0) & (index < self.shape), axis=1)]
        line = np.zeros(self.shape, dtype=bool)
        line[tuple(index.T)] = True
        return np.asarray(self.distance_mm(line) < radius_mm)
