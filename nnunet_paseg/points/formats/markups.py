"""Control points and boxes with their names, as files contain them, before they are grouped into targets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.text import shown
from nnunet_paseg.points.grid import FloatArray, Grid

STATUSES = ("undefined", "preview", "defined", "missing")
"""3D Slicer's position statuses, in the order of their numbers.

A defined point has been placed, an undefined one is planned. A missing one has been skipped, and a preview is the point
under the mouse.
"""
NOT_PLACED, PREVIEW, PLACED, SKIPPED = STATUSES
LPS_FROM_RAS = np.array([-1.0, -1.0, 1.0])
"""Factors of x, y and z that convert RAS to LPS, and LPS to RAS."""
FARTHEST_MM = 1e9
"""No coordinate is larger, in any unit: voxel indices still fit into integers."""


@dataclass(frozen=True, eq=False)
class ControlPoint:
    """A point in a file.

    Attributes:
        position: (3,) world LPS millimetres (x, y, z).
        label: The point's own name, as typed or as the tool numbered it.
        list_name: Name of its list; empty if the list has no name.
        where: File and number of the point, for messages.
        number: Number of its target, if the file has a column for it.
        in_voxels: Whether the file contains voxel indices, not millimetres.
    """

    position: FloatArray
    label: str
    list_name: str
    where: str
    number: int | None = None
    in_voxels: bool = False

    def __post_init__(self) -> None:
        check_position(self.position, str(self))

    def __str__(self) -> str:
        return f"{self.where} '{shown(self.label)}'" if self.label else self.where


@dataclass(frozen=True, eq=False)
class UnplacedPoint:
    """A point that a file plans, but that has no position yet.

    Attributes:
        status: One of :data:`STATUSES` other than the one of placed points.
        label: The point's own name.
        list_name: Name of its list; empty if the list has no name.
        where: File and number of the point, for messages.
    """

    status: str
    label: str
    list_name: str
    where: str

    def __str__(self) -> str:
        return f"{self.where} '{shown(self.label)}'" if self.label else self.where


@dataclass(frozen=True, eq=False)
class Box:
    """A box drawn around a target: its faces are where the background begins.

    Attributes:
        centre: (3,) world LPS millimetres (x, y, z).
        axes: (3, 3) unit vectors of the edges in world LPS, one per column.
        size_mm: (3,) lengths of the edges.
        name: The box's name.
        where: File and number of the box, for messages.
    """

    centre: FloatArray
    axes: FloatArray
    size_mm: FloatArray
    name: str
    where: str

    def __post_init__(self) -> None:
        check_position(self.centre, str(self))
        finite = all(np.isfinite(values).all() for values in (self.axes, self.size_mm))
        if not finite or (self.size_mm <= 0).any() or (self.size_mm > FARTHEST_MM).any():
            raise PasegError(
                f"{self}: a box needs a centre and three positive sizes, got {self.size_mm.tolist()} mm: draw it again."
            )
        if not np.allclose(self.axes.T @ self.axes, np.eye(3), atol=1e-3):
            raise PasegError(f"{self}: its orientation {self.axes.ravel().tolist()} is not a rotation: draw it again.")

    def __str__(self) -> str:
        return f"{self.where} '{shown(self.name)}'" if self.name else self.where

    def contains(self, positions: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which of the (n, 3) world LPS positions are in the box."""
        offsets = np.abs((positions - self.centre) @ self.axes)
        return np.asarray((offsets <= self.size_mm / 2 * (1 + 1e-6)).all(axis=-1))

    def corners(self, grid: Grid) -> FloatArray:
        """Return two opposite corners, in the first planes of voxels on or outside the box (oblique: its bounding box).

        Where the box reaches beyond the image, the corner is on the image's border. Points on the faces would mean
        more than a box does: that the surface of the target is next to them.

        Args:
            grid: Grid of the image.

        Returns:
            (2, 3) world LPS millimetres.
        """
        corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * self.size_mm
        index = grid.to_indices(self.centre + corners @ self.axes.T)
        # A face within rounding error of a voxel's centre is on that voxel.
        low, high = np.floor(index.min(axis=0) + 1e-4), np.ceil(index.max(axis=0) - 1e-4)
        last = np.asarray(grid.shape) - 1
        if ((high < 0) | (low > last)).any():
            raise PasegError(f"{self} is outside the image: check the image, and whether LPS and RAS are swapped.")
        low, high = np.clip(low, 0, last), np.clip(high, 0, last)
        return grid.to_world(np.stack([low, high]))


@dataclass
class Markups:
    """All points and boxes of a file, in its order.

    Attributes:
        points: Control points that have been placed.
        boxes: Boxes.
        unplaced: Control points that have not been placed.
    """

    points: list[ControlPoint] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    unplaced: list[UnplacedPoint] = field(default_factory=list)

    def extend(self, other: Markups) -> None:
        """Append the points and boxes of another file."""
        self.points += other.points
        self.boxes += other.boxes
        self.unplaced += other.unplaced

    def named(self, name: str) -> Markups:
        """Return a copy in which unnamed lists and boxes have this name."""
        return replace(
            self,
            points=[replace(point, list_name=point.list_name or name) for point in self.points],
            boxes=[replace(box, name=box.name or name) for box in self.boxes],
            unplaced=[replace(point, list_name=point.list_name or name) for point in self.unplaced],
        )

    def with_swapped_axes(self) -> Markups:
        """Return a copy with LPS read as RAS and RAS as LPS; points in voxels stay unchanged."""
        return Markups(
            [p if p.in_voxels else replace(p, position=p.position * LPS_FROM_RAS) for p in self.points],
            [replace(b, centre=b.centre * LPS_FROM_RAS, axes=b.axes * LPS_FROM_RAS[:, None]) for b in self.boxes],
            self.unplaced,
        )


def check_position(position: FloatArray, who: str) -> FloatArray:
    """Return a position.

    Raises:
        PasegError: A coordinate is not finite, or too large for any image.
    """
    if not (np.abs(position) <= FARTHEST_MM).all():
        raise PasegError(f"{who} has the coordinates {position.tolist()}: place it again, or delete it.")
    return position


def as_lps(position: FloatArray, system: str, where: str) -> FloatArray:
    """Convert a position to LPS.

    Args:
        position: (3,) millimetres (x, y, z).
        system: Coordinate system as 3D Slicer writes it: LPS, RAS, 1 (LPS) or 0 (RAS).
        where: File and number of the point, for messages.

    Raises:
        PasegError: The coordinate system is unknown.
    """
    known = {"LPS": False, "1": False, "RAS": True, "0": True}
    if system.strip().upper() not in known:
        raise PasegError(f"{where}: the coordinate system is '{shown(system)}': save the points in LPS or RAS.")
    return position * LPS_FROM_RAS if known[system.strip().upper()] else position
