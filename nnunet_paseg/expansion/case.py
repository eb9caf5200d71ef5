"""Expansion of one case: at most one image, and the surroundings of the targets, are in memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.expansion.folder import OutputFolder, case_state
from nnunet_paseg.expansion.given_masks import given_masks, read_mask
from nnunet_paseg.expansion.target_mask import TargetMask
from nnunet_paseg.expansion.views import CaseViews, save_blocks
from nnunet_paseg.io.case_files import CaseFiles
from nnunet_paseg.io.files import write_json
from nnunet_paseg.io.images import check_voxels, header_warning, read_image
from nnunet_paseg.io.writing import OutputError, concerns_output, write_bytes_image
from nnunet_paseg.points.formats import doubts, read_points
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance, VoxelInstance, place_on_grid
from nnunet_paseg.points.windows import Window, shifted
from nnunet_paseg.seeds.learned.predict import context_window, target_probability
from nnunet_paseg.seeds.learned.weights import Expander
from nnunet_paseg.seeds.masks import class_probability, expected_dice, merge_masks, target_masks
from nnunet_paseg.seeds.problems import probability_problems

MAX_REASON = 200
"""Longest text of an unexpected exception that a message quotes."""


def expand_case(files: CaseFiles, folder: OutputFolder) -> None:
    """Write the mask of a case, and its record last. Older files of the case are removed first.

    Args:
        files: Image and point files of the case, and its mask if another tool has made it.
        folder: Output folder.

    Raises:
        PasegError: The case cannot be expanded. The message names the case.
        OutputError: The folder cannot be written.
    """
    case = files.identifier
    try:
        for path in folder.files(case):
            path.unlink(missing_ok=True)
        record = {"options": folder.options, "made_of": case_state(files), **_expand(files, folder)}
        write_json(record, folder.record(case))
    except OutputError:
        raise
    except PasegError as error:
        raise PasegError(f"Case {case}: {error}") from error
    except OSError as error:
        if concerns_output(error, folder.path):
            raise OutputError(f"{error.filename or folder.path}: {error.strerror}: make room there.") from error
        raise PasegError(f"Case {case}: {error}: copy or export the file again.") from error
    except Exception as error:  # whatever a library raises for a damaged file, it concerns this case alone
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:MAX_REASON]}"
        names = ", ".join(str(path) for path in (*files.images, *files.points))
        raise PasegError(f"Case {case}: {names} cannot be expanded ({reason}): check them.") from error


def _expand(files: CaseFiles, folder: OutputFolder) -> dict[str, Any]:
    case, plan, points = files.identifier, folder.plan, files.point_file()
    grid = _grid(files.images)
    instances = read_points(points, grid, plan.class_names, case=case)
    placed = _placed(points, instances, grid, plan.labels)
    warnings = [warning for path in files.images if (warning := header_warning(path))] + doubts(points, grid)
    windows = [context_window([instance.box], grid.shape) for instance in placed]
    views = CaseViews(grid, instances, placed)
    crops = _read(files.images, windows, views)
    if files.mask is None:
        masks = _by_network(files, placed, windows, crops, plan.network())
    else:
        masks, strays = given_masks(read_mask(files.mask, grid, plan.labels), placed, plan.labels)
        warnings += strays
    probabilities = [mask.probability for mask in masks]
    labels = merge_masks(placed, probabilities, grid.shape)
    write_bytes_image(labels, grid.geometry, folder.mask(case))
    targets = _targets(instances, placed, masks, math.prod(grid.spacing_mm))
    save_blocks(views.blocks(case, labels), folder.views(case))
    written = []
    for name, label in plan.labels.items() if plan.probabilities else ():
        written.append(folder.probability(case, name))
        probability = class_probability(label, placed, probabilities, grid.shape)
        write_bytes_image(probability, grid.geometry, written[-1])
    return {"targets": targets, "warnings": warnings, "probabilities": [path.name for path in written]}


def _by_network(
    files: CaseFiles,
    placed: list[VoxelInstance],
    windows: list[Window],
    crops: list[list[npt.NDArray[Any]]],
    network: Expander,
) -> list[TargetMask]:
    masks = []
    try:
        for crop, instance, window in zip(crops, placed, windows, strict=True):
            probability = target_probability(np.stack(crop), shifted(instance, -_start(window)), network)
            problems = probability_problems(instance, probability)
            masks.append(TargetMask(probability, expected_dice(probability), problems))
    except PasegError as error:
        raise PasegError(f"{', '.join(map(str, files.images))}: {error}") from error
    return masks


def _grid(images: tuple[Path, ...]) -> Grid:
    """Return the grid of all channels."""
    grid = Grid.from_file(images[0])
    for path in images[1:]:
        if not Grid.from_file(path).same_as(grid):
            raise PasegError(f"{path} and {images[0]} are on different grids: resample them to the same grid.")
    return grid


def _placed(points: Path, instances: list[Instance], grid: Grid, labels: dict[str, int]) -> list[VoxelInstance]:
    try:
        return [place_on_grid(instance, grid, labels) for instance in instances]
    except PasegError as error:
        raise PasegError(f"{points}: {error}") from error


def _start(window: Window) -> npt.NDArray[np.int64]:
    return np.array([side.start for side in window])


def _read(images: tuple[Path, ...], windows: list[Window], views: CaseViews) -> list[list[npt.NDArray[Any]]]:
    """Return the intensities in every window, by channel, and cut the views out of the first channel."""
    crops: list[list[npt.NDArray[Any]]] = [[] for _ in windows]
    for path in images:
        if not windows:
            check_voxels(path)
            continue
        image = read_image(path)
        array = sitk.GetArrayViewFromImage(image)
        if path == images[0]:
            views.cut(array)
        for crop, window in zip(crops, windows, strict=True):
            crop.append(array[window].copy())  # so that the image can be freed before the next one is read
    return crops


def _targets(
    instances: list[Instance], placed: list[VoxelInstance], found: list[TargetMask], voxel_mm3: float
) -> list[dict[str, Any]]:
    """Return the record of every target: its volumes, the confidence, and what is wrong with it."""
    result = []
    masks = target_masks(placed, [each.probability for each in found])
    for instance, (probability, confidence, problems), mask in zip(instances, found, masks, strict=True):
        if (probability > 0.5).any() and not mask.any():
            problems = [*problems, "no voxel is left for its mask: other targets are likelier everywhere"]
        likely = float(probability.sum(dtype=np.float64)) * voxel_mm3
        result.append(
            {
                "class": instance.class_name,
                # Digits instead of decimals: micro-CT has targets of 1e-6 mm³.
                "volume_mm3": float(f"{int(mask.sum()) * voxel_mm3:.4g}"),
                "likely_volume_mm3": float(f"{likely:.4g}"),
                "confidence": round(confidence, 4),
                "problems": problems,
            }
        )
    return result
