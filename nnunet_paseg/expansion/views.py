"""Slices through the targets for the contact sheet: cut while the image is in memory, and kept in a small file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.plotting.contact_sheet import Block, View, cut_views
from nnunet_paseg.plotting.style import grey_window
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance, VoxelInstance
from nnunet_paseg.points.upright import upright

MAX_SIDE = 256
"""Most pixels along a side of a kept slice: more than the sheet shows."""


class CaseViews:
    """The views of all targets of a case, each through its first foreground point.

    Args:
        grid: Grid of the image.
        instances: Targets of the case.
        placed: The same targets on the grid.
    """

    def __init__(self, grid: Grid, instances: Sequence[Instance], placed: Sequence[VoxelInstance]) -> None:
        self.grid, self.instances, self.placed = grid, instances, placed
        self.views: list[tuple[View, ...]] = []

    def cut(self, image: npt.NDArray[Any]) -> None:
        """Cut the views out of an image (z, y, x)."""
        self.views = [tuple(map(_shrunk, views)) for views in self._cut(image)]

    def blocks(self, case: str, labels: npt.NDArray[np.uint8]) -> list[Block]:
        """Return one block per target, with the outlines of a label map (z, y, x)."""
        outlines = self._cut(labels)
        return [
            Block(
                f"{case}: {instance.class_name} {number}",
                voxels.label,
                tuple(replace(view, labels=_thinned(cut.pixels)) for view, cut in zip(views, cuts, strict=True)),
            )
            for number, (instance, voxels, views, cuts) in enumerate(
                zip(self.instances, self.placed, self.views, outlines, strict=True), start=1
            )
        ]

    def _cut(self, volume: npt.NDArray[Any]) -> list[tuple[View, ...]]:
        array, grid = upright(volume, self.grid)
        result = []
        for instance, voxels in zip(self.instances, self.placed, strict=True):
            first, last = (np.array([getattr(s, end) for s in voxels.box]) for end in ("start", "stop"))
            corners = grid.to_indices(self.grid.to_world([first, last - 1]))
            box = np.stack([np.rint(corners.min(axis=0)), np.rint(corners.max(axis=0)) + 1], axis=1)
            points = grid.to_indices(np.concatenate([instance.foreground, instance.background]))
            is_foreground = np.arange(len(points)) < len(instance.foreground)
            (centre,) = np.rint(grid.to_indices(self.grid.to_world(voxels.foreground[:1]))).astype(np.int64)
            result.append(cut_views(array, grid.spacing_mm, centre, box, points, is_foreground))
        return result


def _thinned(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return pixels[tuple(slice(None, None, -(-size // MAX_SIDE)) for size in pixels.shape)]


def _shrunk(view: View) -> View:
    """Return a view with at most 256 pixels per side, of 256 grey values each."""
    left, right, bottom, top = view.extent
    pixels = _thinned(view.pixels)
    (rows, columns), (kept_rows, kept_columns) = view.pixels.shape, pixels.shape
    # Every pixel stands for as many as were left out, also the last one.
    right = left + (right - left) / columns * -(-columns // MAX_SIDE) * kept_columns
    bottom = top + (bottom - top) / rows * -(-rows // MAX_SIDE) * kept_rows
    window = grey_window(pixels)
    span = window["vmax"] - window["vmin"] or 1.0
    grey = np.clip((pixels.astype(np.float64) - window["vmin"]) / span, 0, 1)
    return replace(view, pixels=np.rint(grey * 255).astype(np.uint8), extent=(left, right, bottom, top))


def save_blocks(blocks: Sequence[Block], path: Path) -> None:
    """Write blocks to a file."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    texts = []
    for number, block in enumerate(blocks):
        texts.append([block.title, block.label, [[view.title, view.extent, view.box] for view in block.views]])
        for plane, view in enumerate(block.views):
            for name in ("pixels", "points", "kinds", "labels"):
                arrays[f"{name} {number} {plane}"] = np.asarray(getattr(view, name))
    with atomic_output(path) as temporary:
        np.savez_compressed(temporary, texts=np.array(json.dumps(texts)), **arrays)  # type: ignore[arg-type]


def load_block(path: Path, number: int) -> Block:
    """Return one block of a file."""
    with np.load(path) as arrays:
        title, label, texts = json.loads(str(arrays["texts"]))[number]
        views = []
        for plane, (name, extent, box) in enumerate(texts):
            pixels, points, kinds, labels = (
                arrays[f"{key} {number} {plane}"] for key in ("pixels", "points", "kinds", "labels")
            )
            views.append(View(name, pixels, tuple(extent), tuple(box), points, kinds, labels))
    return Block(title, label, tuple(views))
