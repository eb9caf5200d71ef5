"""Conversion of one case: images, points and label map.

At most one image file, one mask and one label map are in memory. Points are expanded in the targets' boxes, with as
much of the image around them as the seed rule needs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.conversion.images import image_name, place_image, read_mask, write_labels
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.conversion.probability_maps import PSEUDO_LABELS, write_probability_maps
from nnunet_paseg.conversion.record import case_state, record_file, statistics
from nnunet_paseg.conversion.sources import ImageFile, as_source
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import sha256, write_json
from nnunet_paseg.io.images import header_warning
from nnunet_paseg.io.writing import OutputError, concerns_output, files_of
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.csv import write_csv
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance, VoxelInstance, place_on_grid
from nnunet_paseg.points.simulate import simulate_points
from nnunet_paseg.points.windows import around, crop_grid, shifted
from nnunet_paseg.seeds.expand import Expansion, expand_points, needed_window

Labels = npt.NDArray[np.uint8]

MAX_REASON = 200
"""Longest text of an unexpected exception that a message quotes."""

CLICK_MARGIN = 8
"""Margin in voxels around all targets in which points are simulated: more than their largest distance from a target."""


def convert_case(case: Case, plan: DatasetPlan, folder: Path) -> None:
    """Write the images, labels and points of a case below ``folder``, and its record last.

    Args:
        case: Case to convert.
        plan: Names, classes and seed parameters.
        folder: Staging folder of the dataset.

    Raises:
        PasegError: The case cannot be converted. The message names the case.
        OutputError: The folder cannot be written.
    """
    try:
        state = case_state(case)
        record = {"made_of": state, **_convert(case, plan, folder)}
        # Written last, because a case without its record is converted again.
        write_json(record, record_file(folder, case))
    except OutputError:
        raise
    except PasegError as error:
        raise PasegError(f"Case {case.identifier}: {error}") from error
    except OSError as error:
        raise _os_error(error, case, folder) from error
    except Exception as error:  # whatever a library raises for a damaged file, it concerns this case alone
        files = ", ".join(str(as_source(image).path) for image in case.images)
        raise PasegError(
            f"Case {case.identifier}: {files} cannot be converted ({_reason(error)}): check it."
        ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:MAX_REASON]}"


def _os_error(error: OSError, case: Case, folder: Path) -> PasegError:
    """Return the error of the output, or of a file of the case."""
    if concerns_output(error, folder):
        return OutputError(
            f"{next(iter(files_of(error)), folder)}: {error.strerror}: make room or choose a different --raw, and run "
            "the same command again."
        )
    where = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return PasegError(f"Case {case.identifier}: {where}: copy or export the file again.")


def _convert(case: Case, plan: DatasetPlan, folder: Path) -> dict[str, Any]:
    suffix = "Tr" if case.split == "train" else "Ts"
    images = [as_source(image) for image in case.images]
    grid = whole = images[0].grid()
    for image in images[1:]:
        if not image.grid().same_as(grid):
            raise PasegError(
                f"{image.path} and {images[0].path} are on different grids: resample them to the same grid."
            )
    files = [image.path for image in images if isinstance(image, ImageFile)]
    contradictions = [warning for file in files if (warning := header_warning(file))]
    mask = None if case.mask is None else read_mask(as_source(case.mask), grid, plan)
    window = None
    if plan.crop is not None and mask is not None:
        window = around(mask, plan.crop)
        grid, mask = crop_grid(grid, window), mask[window]
    record: dict[str, Any] = {"images": {str(image.path): sha256(image.files) for image in images}}
    if window is not None:
        record["window"] = [[side.start, side.stop] for side in window]
    instances: list[Instance] = []
    placed: list[VoxelInstance] = []
    labels, box = mask, None
    if case.split == "train":
        record["annotation"] = case.annotation
        if case.annotation != "dense":
            instances = _instances(case, mask, grid, whole, plan)
            placed = [place_on_grid(instance, grid, plan.labels) for instance in instances]
            labels, box = np.zeros(grid.shape, dtype=np.uint8), needed_window(placed, grid.shape, plan.seeds)
    inside: list[npt.NDArray[Any]] = []
    expansion = Expansion(np.zeros((0, 0, 0), dtype=np.uint8), {}, [], [])
    for channel, image in enumerate(images):
        path = folder / f"images{suffix}" / image_name(case.identifier, channel)
        by_reference = plan.images == "reference" and case.split == "train"
        voxels = place_image(image, None if by_reference else path, mode=plan.images, window=window, read=bool(box))
        if box is not None and voxels is not None:
            # A copy, so that this image can be freed before the next one is read.
            inside.append(sitk.GetArrayViewFromImage(voxels)[box].copy())
    if box is not None and labels is not None:
        start = np.array([side.start for side in box])
        placed = [shifted(instance, -start) for instance in placed]
        expansion = expand_points(
            np.stack(inside),
            placed,
            spacing_mm=grid.spacing_mm,
            num_classes=len(plan.class_names),
            parameters=plan.seeds,
        )
        labels[box] = expansion.labels
    if labels is not None:
        write_labels(labels, grid, folder / f"labels{suffix}" / f"{case.identifier}.nii.gz")
    if case.split == "train" and case.annotation != "dense" and labels is not None:
        record |= statistics(labels, instances, placed, plan, expansion, grid.spacing_mm)
        write_csv(instances, folder / "points" / f"{case.identifier}.csv")
        write_probability_maps(
            case.identifier, placed, expansion.probabilities, box, grid=grid, plan=plan, folder=folder
        )
    elif case.split == "train" and plan.pseudo_labels and labels is not None:
        # Stage 2 needs a label map for every training case.
        write_labels(labels, grid, folder / PSEUDO_LABELS / f"{case.identifier}.nii.gz")
    if contradictions:
        record["warning"] = "; ".join([*contradictions, *([record["warning"]] if "warning" in record else [])])
    return record


def _instances(case: Case, mask: Labels | None, grid: Grid, whole: Grid, plan: DatasetPlan) -> list[Instance]:
    """Return the targets of a case: points are read on the whole image's grid, or simulated on the cropped grid."""
    if case.annotation == "simulated":
        assert mask is not None
        return _simulate(case, mask, grid, plan)
    assert case.points is not None
    try:
        return read_points(case.points, whole, plan.class_names, case=case.identifier)
    except (PasegError, OSError):
        raise
    except Exception as error:  # whatever a parser raises
        raise PasegError(f"{case.points} cannot be read ({_reason(error)}): save or export it again.") from error


def _simulate(case: Case, mask: Labels, grid: Grid, plan: DatasetPlan) -> list[Instance]:
    if not mask.any():
        return []
    # Seeded by the case identifier, so that the points of a case do not depend on the other cases.
    seed = int.from_bytes(hashlib.sha256(case.identifier.encode()).digest()[:8], "big")
    rng = np.random.default_rng([plan.point_seed, seed])
    near = around(mask, None, margin=CLICK_MARGIN)
    return simulate_points(mask[near], crop_grid(grid, near), plan.labels, rng)
