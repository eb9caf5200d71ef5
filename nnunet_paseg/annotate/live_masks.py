"""Masks of the finished targets of one case, and what contradicts them, as soon as the last point is placed."""

from __future__ import annotations

import base64
import functools
import threading
from typing import Any

import numpy as np

from nnunet_paseg.annotate.document import INNER, Target, targets_of
from nnunet_paseg.annotate.open_images import OpenImage
from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.annotation import Annotation, Click
from nnunet_paseg.points.directions import DIRECTIONS, faces, voxels_beyond
from nnunet_paseg.points.grid import Grid, IntArray
from nnunet_paseg.points.instance import VoxelInstance, place_on_grid
from nnunet_paseg.points.windows import shifted
from nnunet_paseg.seeds.learned.predict import context_window, target_probability
from nnunet_paseg.seeds.learned.weights import load_expander
from nnunet_paseg.seeds.masks import expected_dice, merge_masks, target_masks
from nnunet_paseg.seeds.problems import probability_problems
from nnunet_paseg.seeds.threads import one_thread

MAX_CACHED = 64
"""Largest number of targets per case whose probabilities are kept."""
_NETWORK = threading.Lock()
"""The number of threads of PyTorch is one setting of the process: one target is expanded at a time."""

Expanded = tuple[int, VoxelInstance, Any]
"""Index of the target, its voxels, and its probabilities."""


def live_masks(annotation: Annotation, image: OpenImage, labels: dict[str, int]) -> list[dict[str, Any]]:
    """Return the masks of all targets for the page.

    Args:
        annotation: Points of the case.
        image: Images of the case.
        labels: Label of every class.

    Returns:
        One record per target: its problems and, if it is finished, the mask in its box as packed bits (x fastest),
        the volume in ml and the points that contradict the mask, by place and voxel.
    """
    targets = targets_of(annotation)
    records, expanded = _expand(targets, image, labels)
    masks = target_masks([voxels for _, voxels, _ in expanded], [probability for _, _, probability in expanded])
    voxel_ml = float(np.prod(image.grid.spacing_mm)) / 1000
    for (index, voxels, probability), mask in zip(expanded, masks, strict=True):
        start, size = [side.start for side in voxels.box], mask.shape
        records[index] |= {
            "start": start[::-1],
            "size": list(size[::-1]),
            "bits": base64.b64encode(np.packbits(mask, bitorder="little").tobytes()).decode(),
            "volume_ml": float(f"{int(mask.sum()) * voxel_ml:.4g}"),
            "confidence": round(expected_dice(probability), 3),
        }
        wrong = _contradictions(targets[index], image.grid, mask, np.array(start))
        records[index]["contradictions"] += [_named(click, image.grid) for click in wrong]
        records[index]["problems"] += probability_problems(voxels, probability)
    return records


@functools.cache
def warm_up() -> None:
    """Load the network and run it once: the first run of a process takes longer than all others."""
    box = (slice(4, 12),) * 3
    background = np.array([[4, 8, 8], [11, 8, 8]])
    target = VoxelInstance(1, np.full((1, 3), 8), (box[0], box[1], box[2]), extremes=background)
    with _NETWORK, one_thread():
        target_probability(np.zeros((1, 16, 16, 16), dtype=np.float32), target, load_expander())


def label_map(annotation: Annotation, image: OpenImage, labels: dict[str, int]) -> Any:
    """Return the label map (z, y, x) of a case.

    Raises:
        PasegError: A target has no mask.
    """
    targets = targets_of(annotation)
    records, expanded = _expand(targets, image, labels)
    done = {index for index, _, _ in expanded}
    for index, (target, record) in enumerate(zip(targets, records, strict=True)):
        if index not in done:
            raise PasegError(f"{target.class_name} {target.number} has no mask: {'; '.join(record['problems'])}")
    return merge_masks([voxels for _, voxels, _ in expanded], [p for _, _, p in expanded], image.grid.shape)


def _expand(
    targets: list[Target], image: OpenImage, labels: dict[str, int]
) -> tuple[list[dict[str, Any]], list[Expanded]]:
    """Return a record per target, and the targets that can be expanded."""
    records, expanded = [], []
    for index, target in enumerate(targets):
        wrong = misplaced(target, image.grid)
        problems = [f"the point {click.place} is not {click.place} of the inner point" for click in wrong]
        records.append(
            {
                "class": target.class_name,
                "number": target.number,
                "problems": problems,
                "contradictions": [_named(click, image.grid) for click in wrong],
            }
        )
        if target.missing:
            continue
        try:
            voxels = place_on_grid(target.instance(), image.grid, labels)
            expanded.append((index, voxels, _probability(target, voxels, image)))
        except PasegError as error:
            problems.append(str(error))
    return records, expanded


def _voxel(click: Click, grid: Grid) -> IntArray:
    """Return the voxel (z, y, x) of a placed click."""
    assert click.position is not None
    return grid.to_voxels(click.position)[0]


def _named(click: Click, grid: Grid) -> dict[str, Any]:
    return {"place": click.place, "voxel": _voxel(click, grid)[::-1].tolist()}


def misplaced(target: Target, grid: Grid) -> list[Click]:
    """Return the clicks that are on another side of the inner point than their name states."""
    inside = [p.position for p in target.clicks if p.place in INNER and p.position is not None]
    if not inside:
        return []
    inner, side_of = grid.to_voxels(inside), faces(grid)
    return [
        click
        for click in target.clicks
        if click.place in DIRECTIONS
        and click.position is not None
        and voxels_beyond(side_of[click.place], _voxel(click, grid), inner)
    ]


def _probability(target: Target, voxels: VoxelInstance, image: OpenImage) -> Any:
    """Return the probabilities of a target, of an earlier call if its points are the same."""
    key = tuple((click.place in INNER, tuple(_voxel(click, image.grid).tolist())) for click in target.clicks)
    with _NETWORK:
        if key not in image.probabilities:
            window = context_window([voxels.box], image.grid.shape)
            start = np.array([side.start for side in window])
            crop = np.stack([channel[window] for channel in image.all_channels()])
            with one_thread():
                image.probabilities[key] = target_probability(crop, shifted(voxels, -start), load_expander())
        image.probabilities.move_to_end(key)
        while len(image.probabilities) > MAX_CACHED:
            image.probabilities.popitem(last=False)
        return image.probabilities[key]


def _contradictions(target: Target, grid: Grid, mask: Any, start: Any) -> list[Click]:
    """Return the clicks inside that are not in the mask, and those outside that are."""
    wrong = []
    for click in target.clicks:
        voxel = _voxel(click, grid) - start
        in_box = bool((voxel >= 0).all() and (voxel < mask.shape).all())
        if (in_box and bool(mask[tuple(voxel)])) != (click.place in INNER):
            wrong.append(click)
    return wrong
