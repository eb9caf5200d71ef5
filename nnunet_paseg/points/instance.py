"""The points of every instance of a case, in world millimetres, and what makes them valid on an image's grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import FloatArray, Grid, IntArray


@dataclass(frozen=True, eq=False)
class Instance:
    """One target: where an annotator clicked inside it and just outside the six faces of its bounding box.

    Attributes:
        class_name: the class in the dataset's label table, e.g. ``"tumor"``.
        foreground: (n, 3) points inside the target, world LPS millimetres (x, y, z).
        background: (m, 3) points outside the target, world LPS millimetres (x, y, z).
    """

    class_name: str
    foreground: FloatArray
    background: FloatArray

    def __post_init__(self) -> None:
        for role in ("foreground", "background"):
            points = np.asarray(getattr(self, role), dtype=np.float64).reshape(-1, 3)
            if not np.isfinite(points).all():
                raise PasegError(f"Instance of class '{self.class_name}': a {role} point is not finite: {points}.")
            object.__setattr__(self, role, points)


@dataclass(frozen=True, eq=False)
class VoxelInstance:
    """An :class:`Instance` on an image's grid.

    Attributes:
        label: integer label of the class.
        foreground: (n, 3) voxel indices (z, y, x) inside the target.
        box: slices (z, y, x) of the voxels that may belong to the target; all others are certain background.
        background: (m, 3) voxel indices (z, y, x) in the box that the annotator marked as outside the target.
        extremes: (k, 3) voxel indices (z, y, x) in the box, beside the points that were clicked just outside its faces:
            about where the target ends.
    """

    label: int
    foreground: IntArray
    box: tuple[slice, slice, slice]
    background: IntArray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    extremes: IntArray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))


def place_on_grid(instance: Instance, grid: Grid, labels: dict[str, int]) -> VoxelInstance:
    """Turn an instance's points into voxel indices and the box of voxels that may belong to it.

    The planes through the outermost points are background, since those points lie just outside the target. The one
    exception is the image's own border: a target that touches it leaves no plane outside. Further background points
    between the outermost ones are background voxels inside the box.

    Raises:
        PasegError: an unknown class, no foreground point, a point outside the image, background points that do not
            span a box, a foreground point outside that box, or one voxel that is marked as both.
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
            raise PasegError(
                f"A point of an {who} lies outside the image: {np.round(point, 2).tolist()} mm (LPS) is voxel "
                f"{voxel.tolist()} (z, y, x) of an image of {list(grid.shape)}. Are LPS and RAS swapped, or does the "
                "point belong to another image?"
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
    # A point beside one face was clicked next to the target's end there; in an edge or corner it only spans the box.
    # An image of a single slice has no face above or below a target.
    axes = shape > 1
    beside_face = ((background == low) | (background == high))[:, axes].sum(axis=1) == 1
    # Clicks lie a voxel or a few outside: one voxel further in than the box, but where the image itself ends.
    ends = np.clip(background[beside_face], first + (first > low), last - (last < high)).clip(first, last)
    # Only what lies strictly between the outermost points: a point on the image's border may have been moved there.
    background = background[((background > low) & (background < high))[:, axes].all(axis=1)]
    both = (foreground[:, None] == background[None]).all(axis=2).any(axis=1)
    if both.any():
        raise PasegError(
            f"A foreground and a background point of an {who} are the same voxel {foreground[both][0].tolist()} "
            "(z, y, x): delete one of them."
        )
    return VoxelInstance(labels[instance.class_name], foreground, (box[0], box[1], box[2]), background, ends)
