"""Probabilities of the expansion network in the boxes of a case: kept by the conversion, or computed again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnunet_paseg.completion.dataset import TrainingCase
from nnunet_paseg.completion.folder import CompletionFolder, problems_of, write_source
from nnunet_paseg.completion.targets import Bytes, facts, image_names, measures, read_targets, start_of, window_around
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import check_voxels, read_array, read_image
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.points.windows import shifted
from nnunet_paseg.seeds.learned.predict import target_probability
from nnunet_paseg.seeds.learned.weights import load_expander
from nnunet_paseg.seeds.threads import one_thread


def expand_targets(case: TrainingCase, folder: CompletionFolder, labels: dict[str, int], expander: Path | None) -> None:
    """Write the probabilities of the expansion network for the targets of a case.

    Args:
        case: Case with points.
        folder: Output folder.
        labels: Label by class name.
        expander: File of the network's weights; None for the weights of this package.

    Raises:
        PasegError: The case cannot be used. The message names it.
        OutputError: The folder cannot be written.
    """
    with problems_of(case.identifier, folder.path), one_thread():
        grid, _, targets = read_targets(case, labels)
        boxes = _kept(case, targets, labels) if case.kept else _computed(case, targets, grid.shape, expander)
        windows = [window_around(target, grid.shape) for target in targets]
        arrays = []
        for target, window, inside in zip(targets, windows, boxes, strict=True):
            # The network has probabilities in the box alone: the rest of the window is background.
            array = np.zeros([side.stop - side.start for side in window], dtype=np.uint8)
            array[shifted(target, -start_of(window)).box] = inside
            arrays.append(array)
        found = measures(targets, windows, arrays)
        path = folder.source(case.identifier, "expansion")
        write_source(path, arrays, facts(case.state(), folder.options, targets, found))


def _kept(case: TrainingCase, targets: list[VoxelInstance], labels: dict[str, int]) -> list[Bytes]:
    for path in case.images:
        check_voxels(path)
    used = {target.label for target in targets}
    maps = {label: read_array(path) for label, path in zip(labels.values(), case.kept, strict=True) if label in used}
    return [maps[target.label][target.box] for target in targets]


def _computed(
    case: TrainingCase, targets: list[VoxelInstance], shape: tuple[int, int, int], expander: Path | None
) -> list[Bytes]:
    windows = [window_around(target, shape) for target in targets]
    crops: list[list[npt.NDArray[Any]]] = [[] for _ in windows]
    for path in case.images:
        voxels = sitk.GetArrayViewFromImage(image := read_image(path))
        for crop, window in zip(crops, windows, strict=True):
            crop.append(voxels[window].copy())  # so that the image can be freed before the next one is read
        del voxels, image
    network = load_expander(expander)
    result = []
    for target, window, crop in zip(targets, windows, crops, strict=True):
        try:
            probability = target_probability(np.stack(crop), shifted(target, -start_of(window)), network)
        except PasegError as error:
            raise PasegError(f"{image_names(case)}: {error}") from error
        result.append(np.rint(probability * 255).astype(np.uint8))
    return result
