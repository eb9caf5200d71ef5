"""What markup files hold before anyone knows which targets they mean: single points and boxes with their names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import FloatArray, Grid

LPS_FROM_RAS = np.array([-1.0, -1.0, 1.0])
"""LPS and RAS differ in the signs of x and y, in either direction."""


@dataclass(frozen=True, eq=False)
class ControlPoint:
    """One point of a file.

    Attributes:
        position: (3,) world LPS millimetres (x, y, z).
        label: the point's own name, as typed or as the tool numbered it.
        list_name: name of the list that it is in; empty where the file names none.
        where: file and number of the point, for messages.
    """

    position: FloatArray
    label: str
    list_name: str
    where: str

    def __post_init__(self) -> None:
        if not np.isfinite(self.position).all():
            raise PasegError(f"{self} has the coordinates {self.position.tolist()}: place it again, or delete it.")

    def __str__(self) -> str:
        return f"{self.where} '{self.label}'" if self.label else self.where


@dataclass(frozen=True, eq=False)
class Box:
    """A box around a target, drawn as such; it says where the background begins on all six sides.

    Attributes:
        centre: (3,) world LPS millimetres (x, y, z).
        axes: (3, 3) unit vectors of the edges in world LPS, one a column.
        size_mm: (3,) lengths of the edges.
        name: the box's name.
        where: file and number of the box, for messages.
    """

    centre: FloatArray
    axes: FloatArray
    size_mm: FloatArray
    name: str
    where: str

    def __post_init__(self) -> None:
        finite = all(np.isfinite(values).all() for values in (self.centre, self.axes, self.size_mm))
        if not finite or (self.size_mm <= 0).any():
            raise PasegError(f"{self}: a box needs a centre and three positive sizes, got {self.size_mm.tolist()} mm.")
        if not np.allclose(self.axes.T @ self.axes, np.eye(3), atol=1e-3):
            raise PasegError(f"{self}: its orientation {self.axes.ravel().tolist()} is no rotation.")

    def __str__(self) -> str:
        return f"{self.where} '{self.name}'" if self.name else self.where

    def contains(self, position: FloatArray) -> bool:
        """Whether a world position lies in the box."""
        return bool((np.abs((position - self.centre) @ self.axes) <= self.size_mm / 2 + 1e-6).all())

    def corners(self, grid: Grid) -> FloatArray:
        """Two opposite corners, in the first planes of voxels on or outside the box (oblique: its bounding box).

        Where the box reaches beyond the image, the corner lies on the image's border. Points on the faces would say
        more than a drawn box does: that the target ends beside them.

        Args:
            grid: the image's grid.

        Returns:
            (2, 3) world LPS millimetres.
        """
        corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * self.size_mm
        index = grid.to_indices(self.centre + corners @ self.axes.T)
        # A face within rounding of a voxel's centre is on that voxel, whichever side the last digit fell.
        low, high = np.floor(index.min(axis=0) + 1e-4), np.ceil(index.max(axis=0) - 1e-4)
        last = np.asarray(grid.shape) - 1
        if ((high < 0) | (low > last)).any():
            raise PasegError(f"{self} lies outside the image. Are LPS and RAS swapped, or is it another image's?")
        low, high = np.clip(low, 0, last), np.clip(high, 0, last)
        return grid.to_world(np.stack([low, high]))


@dataclass
class Markups:
    """All points and boxes of a file, in its order; ``in_world`` where it holds millimetres, not voxels."""

    points: list[ControlPoint] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    in_world: bool = True

    def extend(self, other: Markups) -> None:
        """Append those of another file."""
        self.points += other.points
        self.boxes += other.boxes

    def named(self, name: str) -> Markups:
        """The same, with this name for lists and boxes that have none."""
        return replace(
            self,
            points=[replace(point, list_name=point.list_name or name) for point in self.points],
            boxes=[replace(box, name=box.name or name) for box in self.boxes],
        )

    def with_swapped_axes(self) -> Markups:
        """The same, had it been written in the other one of LPS and RAS; voxels stay what they are."""
        if not self.in_world:
            return self
        return Markups(
            [replace(point, position=point.position * LPS_FROM_RAS) for point in self.points],
            [
                replace(box, centre=box.centre * LPS_FROM_RAS, axes=box.axes * LPS_FROM_RAS[:, None])
                for box in self.boxes
            ],
        )


def as_lps(position: FloatArray, system: str, where: str) -> FloatArray:
    """World LPS of a position in LPS or RAS, by any name that 3D Slicer gives them."""
    known = {"LPS": False, "1": False, "RAS": True, "0": True}
    if system.strip().upper() not in known:
        raise PasegError(
            f"{where}: the coordinate system is '{system}', not LPS or RAS: save the points in one of both."
        )
    return position * LPS_FROM_RAS if known[system.strip().upper()] else position


def point_at(path: Path, number: int) -> str:
    """How messages call the point of a file, counted from one."""
    return f"{path}, point {number}"
