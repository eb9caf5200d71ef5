"""Random cases with known points: an image, its grid and its targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

CLASSES = (("tumor",), ("tumor", "edema"), ("left kidney", "right kidney"), ("Läsion",))
SHAPE = (16, 20, 28)


@dataclass(frozen=True)
class Scene:
    """A case whose points are known.

    Attributes:
        image: Intensities (1, z, y, x).
        grid: Grid of the image.
        class_names: Classes of the dataset.
        instances: One or two targets of seven points.
    """

    image: npt.NDArray[np.float32]
    grid: Grid
    class_names: tuple[str, ...]
    instances: tuple[Instance, ...]


def make_scene(rng: np.random.Generator) -> Scene:
    """Draw a case with one or two targets; points are voxel centres and no voxel is outermost at two faces."""
    image = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.5).astype(np.float32)
    grid = _draw_grid(rng)
    class_names = CLASSES[rng.integers(len(CLASSES))]
    count = max(int(rng.integers(1, 3)), len(class_names))
    # Targets are next to each other along x, apart from each other and from the border.
    starts = (3, 16) if count == 2 else (int(rng.integers(3, 12)),)
    instances = []
    for number, start in enumerate(starts):
        low = np.array([rng.integers(2, 5), rng.integers(2, 6), start])
        high = low + rng.integers(6, 9, size=3)
        points = np.tile((low + high) // 2, (6, 1))
        for axis in range(3):
            points[2 * axis, axis], points[2 * axis + 1, axis] = low[axis], high[axis]
            others = [other for other in range(3) if other != axis]
            points[np.ix_([2 * axis, 2 * axis + 1], others)] += rng.integers(-1, 2, size=(2, 2))
        class_name = class_names[number % len(class_names)]
        inside = grid.to_world(((low + high) // 2)[None])
        instances.append(Instance(class_name, inside, grid.to_world(rng.permutation(points))))
    return Scene(image[None], grid, class_names, tuple(instances))


def _draw_grid(rng: np.random.Generator) -> Grid:
    direction = np.eye(3)
    kind = rng.integers(3)
    if kind == 1:
        direction = np.diag([-1.0, -1.0, 1.0])
    elif kind == 2:
        angle = rng.uniform(0.1, 0.5)
        direction[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    spacing = [(2.0, 1.0, 1.0), (1.25, 0.8, 0.9), (3.0, 0.5, 0.5)][rng.integers(3)]
    origin = tuple(rng.uniform(-200, 200, 3).round(2).tolist())
    return Grid(SHAPE, spacing, origin, tuple(direction.ravel().tolist()))
