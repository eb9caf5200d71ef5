"""Masks and probabilities of a case in folders of their own: label maps for stage 2, and probabilities as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.conversion.images import image_name, write_labels
from nnunet_paseg.conversion.plan import DatasetPlan
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.points.windows import Window
from nnunet_paseg.seeds.masks import class_probability, merge_masks

PSEUDO_LABELS = "pseudoLabelsTr"
"""Folder of label maps from which stage 2 can start, named like the files in labelsTr."""

PROBABILITIES = "probabilitiesTr"
"""Folder of the probabilities: ``{case}_{label:04d}.nii.gz``, 0 to 255 for p from 0 to 1."""


def write_probability_maps(
    identifier: str,
    instances: Sequence[VoxelInstance],
    probabilities: Sequence[npt.NDArray[np.float32]],
    window: Window | None,
    *,
    grid: Grid,
    plan: DatasetPlan,
    folder: Path,
) -> None:
    """Write what the plan keeps of the probabilities of one case.

    Args:
        identifier: Case identifier.
        instances: Points on the voxels of the window.
        probabilities: Probability (z, y, x) in the box of every instance.
        window: Part of the image that contains all boxes; None for a case without targets.
        grid: Grid of the image.
        plan: Dataset with its classes.
        folder: Folder of the dataset.

    Raises:
        OutputError: The folder cannot be written.
    """

    def write(values: npt.NDArray[np.uint8] | None, path: Path) -> None:
        whole = np.zeros(grid.shape, dtype=np.uint8)
        if window is not None and values is not None:
            whole[window] = values
        write_labels(whole, grid, path)

    shape = [side.stop - side.start for side in window or ()]
    if plan.pseudo_labels:
        masks: Any = merge_masks(instances, probabilities, shape) if shape else None
        write(masks, folder / PSEUDO_LABELS / f"{identifier}.nii.gz")
    for label in plan.labels.values() if plan.keep_probabilities else ():
        values: Any = class_probability(label, instances, probabilities, shape) if shape else None
        write(values, folder / PROBABILITIES / image_name(identifier, label))
