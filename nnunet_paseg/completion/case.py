"""Completion of one case: weighted probabilities, clicks, mask, and record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.completion.clicks import clicked_masks, with_clicks
from nnunet_paseg.completion.dataset import TrainingCase
from nnunet_paseg.completion.folder import SOURCES, CompletionFolder, problems_of, read_source
from nnunet_paseg.completion.reliability import Weight, combined, extent_in, probabilities
from nnunet_paseg.completion.targets import read_targets, start_of, window_around
from nnunet_paseg.expansion.views import CaseViews, save_blocks
from nnunet_paseg.io.files import write_json
from nnunet_paseg.io.images import read_image, read_labels
from nnunet_paseg.io.writing import write_bytes_image
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.windows import shifted
from nnunet_paseg.seeds.masks import expected_dice
from nnunet_paseg.seeds.problems import LIKELY

FEW = 0.5
"""Dice between the masks of both sources below which a target has a problem."""


def complete_case(
    case: TrainingCase, folder: CompletionFolder, labels: dict[str, int], weights: Mapping[int, list[Weight]]
) -> None:
    """Write the mask of a case, and its record last.

    Args:
        case: Case whose sources are written, or a case with a dense mask.
        folder: Output folder.
        labels: Label by class name.
        weights: By label, the weight of every source for this case.

    Raises:
        PasegError: The case cannot be completed. The message names it.
        OutputError: The folder cannot be written.
    """
    with problems_of(case.identifier, folder.path):
        folder.record(case.identifier).unlink(missing_ok=True)
        if case.points is None:
            array, image = read_labels(case.label)
            write_bytes_image(array.astype(np.uint8), Grid.from_image(image).geometry, folder.mask(case.identifier))
            targets: list[dict[str, Any]] = []
        else:
            targets = _complete(case, folder, labels, weights)
        record = {
            "made_of": case.state(),
            "options": folder.options,
            "weights": weights_record(weights),
            "folds": list(case.folds),
            "annotation": "dense" if case.points is None else "points",
            "trained_on": case.trained_on,
            "confidence": min((target["confidence"] for target in targets), default=1.0),
            "targets": targets,
        }
        write_json(record, folder.record(case.identifier))


def weights_record(weights: Mapping[int, list[Weight]]) -> dict[str, Any]:
    """Return weights as JSON: by label and source."""
    return {
        str(label): {name: asdict(weight) for name, weight in zip(SOURCES, each, strict=True)}
        for label, each in weights.items()
    }


def _complete(
    case: TrainingCase, folder: CompletionFolder, labels: dict[str, int], weights: Mapping[int, list[Weight]]
) -> list[dict[str, Any]]:
    grid, instances, targets = read_targets(case, labels)
    files = [folder.source(case.identifier, source) for source in SOURCES]
    inside = []
    for target, *arrays in zip(targets, *map(read_source, files), strict=True):
        box = shifted(target, -start_of(window_around(target, grid.shape))).box
        inside.append([array[box] for array in arrays])
    merged = [combined(arrays, weights[target.label]) for target, arrays in zip(targets, inside, strict=True)]
    masks, problems = clicked_masks(targets, merged)
    voxels = np.zeros(grid.shape, dtype=np.uint8)
    for target, mask in zip(targets, masks, strict=True):
        voxels[target.box][mask] = target.label
    write_bytes_image(voxels, grid.geometry, folder.mask(case.identifier))
    views = CaseViews(grid, instances, targets)
    views.cut(sitk.GetArrayViewFromImage(image := read_image(case.images[0])))
    del image
    save_blocks(views.blocks(case.identifier, voxels), folder.views(case.identifier))
    certain = with_clicks(targets, merged)
    result = []
    for instance, arrays, probability, mask, wrong in zip(instances, inside, certain, masks, problems, strict=True):
        agreement = _dice(*(probabilities(array) > LIKELY for array in arrays))
        if agreement < FEW:
            wrong.append(f"the expansion and the networks disagree (Dice {agreement:.2f})")
        whole = (slice(0, mask.shape[0]), slice(0, mask.shape[1]), slice(0, mask.shape[2]))
        extent = extent_in(mask, whole)
        result.append(
            {
                "class": instance.class_name,
                # Digits instead of decimals: micro-CT has targets of 1e-6 mm³.
                "volume_mm3": float(f"{int(mask.sum()) * math.prod(grid.spacing_mm):.4g}"),
                "confidence": round(expected_dice(probability) * extent, 4),
                "extent": round(extent, 4),
                "agreement": round(agreement, 4),
                "problems": wrong,
            }
        )
    return result


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0
