"""Targets: their points in world millimetres, and their boxes on the grid of an image."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import FloatArray, Grid, IntArray


@dataclass(frozen=True, eq=False)
class Instance:
    """One target: clicks inside it and just outside the six faces of its bounding box.

    Attributes:
        class_name: Class in the dataset's label table, e.g. ``"tumor"``.
        foreground: Points (n, 3) inside the target, world LPS millimetres (x, y, z).
        background: Points (m, 3) outside the target, world LPS millimetres (x, y, z).
        in_voxels: Whether the file contained voxel indices, not millimetres.
    """

    class_name: str
    foreground: FloatArray
    background: FloatArray
    in_voxels: bool = False

    def __post_init__(self) -> None:
        for role in ("foreground", "background"):
            points = np.asarray(getattr(self, role), dtype=np.float64).reshape(-1, 3)
            if not np.isfinite(points).all():
                raise PasegError(f"Instance of class '{self.class_name}': a {role} point is not finite: delete it.")
            object.__setattr__(self, role, points)


@dataclass(frozen=True, eq=False)
class VoxelInstance:
    """An :class:`Instance` on the grid of an image.

    Attributes:
        label: Integer label of the class.
        foreground: Voxel indices (n, 3), (z, y, x), inside the target.
        box: Slices (z, y, x) of the voxels that may belong to the target; all others are background.
        background: Voxel indices (m, 3), (z, y, x), of the background points inside the box.
        extremes: Voxel indices (k, 3), (z, y, x), of the target's estimated extreme points, next to the points that
            were clicked just outside the faces of the box.
    """

    label: int
    foreground: IntArray
    box: tuple[slice, slice, slice]
    background: IntArray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    extremes: IntArray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))


def place_on_grid(instance: Instance, grid: Grid, labels: dict[str, int]) -> VoxelInstance:
    """Convert the points of an instance to voxel indices and to the box of voxels that may belong to it.

    The planes through the outermost points are background, since those points are just outside the target. The only
    exception is the border of the image: a target that touches it leaves no plane outside. Further background points
    between the outermost ones are background voxels inside the box.

    Raises:
        PasegError: The class is unknown, there is no foreground point, a point is outside the image, the background
            points span no box, a foreground point is outside the box, or a voxel is marked as both.
    """
    who = f"instance of class '{instance.class_name}'"
    if instance.class_name not in labels:
        raise PasegError(f"An {who} is not among the dataset's classes {sorted(labels)}: correct the name.")
    if not len(instance.foreground):
        raise PasegError(f"An {who} has no foreground point: click at least one point inside the target.")
    points = np.concatenate([instance.foreground, instance.background])
    voxels = grid.to_voxels(points)
    shape = np.asarray(grid.shape)
    for point, voxel in zip(points, voxels, strict=True):
        if (voxel < 0).any() or (voxel >= shape).any():
            in_mm, cause = "", "Was the points layer made without the image layer's scale, so that it is in millimetres"
            if not instance.in_voxels:
                in_mm = f"{[float(f'{value:.6g}') for value in point]} mm (LPS) is "
                cause = "Are LPS and RAS swapped"
            raise PasegError(
                f"A point of an {who} lies outside the image: {in_mm}voxel {voxel.tolist()} (z, y, x) of an image of "
                f"{list(grid.shape)}. {cause}, or does the point belong to another image?"
            )
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    first = np.where(low == 0, 0, low + 1)
    last = np.where(high == shape - 1, high, high - 1)
    foreground = voxels[: len(instance.foreground)]
    inside = ((foreground >= first) & (foreground <= last)).all(axis=1)
    if not inside.all():
        raise PasegError(
            f"The points of an {who} do not enclose its foreground point: voxel {foreground[~inside][0].tolist()} is "
            f"not inside {first.tolist()}..{last.tolist()} (z, y, x), the box between the background points. Click "
            "one background point just outside each of the six faces of the target's bounding box."
        )
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
    background = voxels[len(foreground) :]
    # A point in front of one face is next to an extreme point; on an edge or in a corner it only spans the box.
    # An image of a single slice has no face above or below a target.
    axes = shape > 1
    at_face = ((background == low) | (background == high))[:, axes].sum(axis=1) == 1
    # Clicks are a few voxels outside: one voxel further in than the box, except at the border of the image.
    extremes = np.clip(background[at_face], first + (first > low), last - (last < high)).clip(first, last)
    # Only voxels strictly between the outermost points: a point on the image's border may have been moved there.
    background = background[((background > low) & (background < high))[:, axes].all(axis=1)]
    both = (foreground[:, None] == background[None]).all(axis=2).any(axis=1)
    if both.any():
        raise PasegError(
            f"A foreground and a background point of an {who} are the same voxel {foreground[both][0].tolist()} "
            "(z, y, x): delete one of them."
        )
    return VoxelInstance(labels[instance.class_name], foreground, (box[0], box[1], box[2]), background, extremes)
