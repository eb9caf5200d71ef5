"""Effect of the gated CRF loss on segmentations that are right, or wrong by one voxel, per task of the accuracy table.

The gradient of a good loss leaves a perfect segmentation as it is and corrects one that is a voxel too small or too
large. A window of zero would do the first, but not the second. Two measures per task, without any training:

* the fraction of the true foreground whose gradient points towards the background in a perfect segmentation, over all
  voxels and over those that the default seeds leave unlabelled, where the loss acts;
* Dice of a segmentation that is one voxel too small or too large within the unlabelled voxels, before and after four
  rounds in which every unlabelled voxel takes the class to which its gradient points.

Example:
    python -m benchmarks.window DATA
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
from nnunetv2.preprocessing.normalization.default_normalization_schemes import ZScoreNormalization
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape, resample_data_or_seg_to_shape
from scipy import ndimage
from torch.nn import functional

from benchmarks.accuracy import RESULTS
from benchmarks.accuracy.source import check_clean, origin
from benchmarks.accuracy.tasks import TASKS, Task
from nnunet_paseg.conversion.dense import choose
from nnunet_paseg.conversion.record import extents_mm
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.losses import gated_crf_loss
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import place_on_grid
from nnunet_paseg.points.simulate import simulate_points
from nnunet_paseg.seeds.expand import expand_points
from nnunet_paseg.trainers.stage1 import average_pool
from nnunet_paseg.trainers.window import Window, published_window, window_of

ROUNDS = 4
Labels = npt.NDArray[np.int64]


class Case(NamedTuple):
    """A case on the training grid of its task: image (1, z, y, x), classes and unlabelled voxels (z, y, x)."""

    image: npt.NDArray[np.float32]
    classes: Labels
    unlabelled: npt.NDArray[np.bool_]
    extents_mm: dict[str, list[list[float]]]


def read_case(source: Path, name: str, ending: str, labels: dict[str, int], task: Task) -> Case:
    """Read a dense case, expand simulated points on it, and resample all as nnU-Net does."""
    picture = sitk.ReadImage(str(source / "imagesTr" / f"{name}_0000{ending}"))
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(source / "labelsTr" / f"{name}{ending}"))).astype(np.int16)
    mask = (mask > 0).astype(np.int16) if task.merge else mask
    image, grid = sitk.GetArrayFromImage(picture)[None].astype(np.float32), Grid.from_image(picture)
    targets = simulate_points(mask, grid, labels, np.random.default_rng(0))
    placed = [place_on_grid(target, grid, labels) for target in targets]
    seeds = expand_points(image, placed, spacing_mm=grid.spacing_mm, num_classes=len(labels)).labels
    image, maps, _ = crop_to_nonzero(image, np.stack([mask, seeds.astype(np.int16)]))
    image[0] = ZScoreNormalization(use_mask_for_norm=False, intensityproperties={}).run(image[0], maps[0])
    old, new = grid.spacing_mm, task.spacing_mm or grid.spacing_mm
    shape = compute_new_shape(image.shape[1:], old, new)
    image = resample_data_or_seg_to_shape(image, shape, old, new, is_seg=False, order=3, order_z=0)
    classes, labelled = (
        resample_data_or_seg_to_shape(each[None], shape, old, new, is_seg=True, order=1, order_z=0)[0] for each in maps
    )
    extents: dict[str, list[list[float]]] = {name: [] for name in labels}
    for target, box in zip(targets, placed, strict=True):
        extents[target.class_name].append(extents_mm(box, grid.spacing_mm))
    # -1 is background outside the nonzero mask.
    return Case(np.asarray(image, np.float32), np.maximum(classes, 0).astype(np.int64), labelled > len(labels), extents)


def gradient(case: Case, segmentation: Labels, number: int, window: Window) -> npt.NDArray[np.float32]:
    """Return the gradient (class, z, y, x) of the loss with respect to the probabilities of a segmentation."""
    probabilities = functional.one_hot(torch.from_numpy(segmentation), number).movedim(-1, 0)[None].float()
    probabilities.requires_grad_()
    loss = gated_crf_loss(
        average_pool(probabilities, window.pooling),
        average_pool(torch.from_numpy(case.image)[None], window.pooling),
        radius=window.radius,
        sigma_space=window.sigma_space,
        sigma_intensity=window.sigma_intensity,
        normalisation="pairs",
    )
    (found,) = torch.autograd.grad(loss, probabilities)
    return found[0].numpy()


def of_class(gradients: npt.NDArray[np.float32], classes: Labels) -> npt.NDArray[np.float32]:
    """Return the gradient (z, y, x) of the given class per voxel."""
    return np.take_along_axis(gradients, classes[None], axis=0)[0]


def pushed(case: Case, number: int, window: Window) -> tuple[float, float]:
    """Return the fraction of the foreground pushed to background, over all and over unlabelled voxels."""
    found, foreground = gradient(case, case.classes, number, window), case.classes > 0
    away = foreground & (of_class(found, case.classes) > found[0])
    return away.sum() / foreground.sum(), (away & case.unlabelled).sum() / foreground.sum()


def corrected(case: Case, number: int, window: Window, *, larger: bool) -> tuple[float, float]:
    """Return Dice before and after the rounds, from a segmentation that is one voxel too large or too small."""
    foreground = case.classes > 0
    if larger:
        nearest = ndimage.distance_transform_edt(~foreground, return_distances=False, return_indices=True)
        moved = np.where(ndimage.binary_dilation(foreground), case.classes[tuple(nearest)], 0)
    else:
        moved = np.where(ndimage.binary_erosion(foreground), case.classes, 0)
    segmentation = np.where(case.unlabelled, moved, case.classes)
    before = mean_dice(segmentation, case.classes)
    for _ in range(ROUNDS):
        found = gradient(case, segmentation, number, window)
        # Not where all gradients are zero, up to rounding.
        better = found.min(0) < of_class(found, segmentation) - 1e-4 * np.abs(found).max()
        segmentation = np.where(case.unlabelled & better, found.argmin(0), segmentation)
    return before, mean_dice(segmentation, case.classes)


def mean_dice(segmentation: npt.NDArray[Any], reference: npt.NDArray[Any]) -> float:
    """Return the mean Dice over the foreground classes of the reference."""
    scores = [
        2 * ((segmentation == label) & (reference == label)).sum()
        / ((segmentation == label).sum() + (reference == label).sum())
        for label in np.unique(reference[reference > 0])
    ]  # fmt: skip
    return float(np.mean(scores))


def rows(key: str, data: Path, number_of_cases: int) -> list[str]:
    """Measure a task with the published window and with the default one; return two rows of the table."""
    task = TASKS[key]
    source = data / task.source
    facts = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    ending = facts["file_ending"]
    labels = {task.merge: 1} if task.merge else {name: label for name, label in facts["labels"].items() if label}
    names = sorted(mask.name.removesuffix(ending) for mask in (source / "labelsTr").glob(f"*{ending}"))
    training = sorted(choose(names, task.num_train, task.num_test, 0)[0])
    chosen = training[:: max(1, len(training) // number_of_cases)][:number_of_cases]
    cases = [read_case(source, name, ending, labels, task) for name in chosen]
    extents = {
        name: np.median([each for case in cases for each in case.extents_mm[name]], axis=0).tolist() for name in labels
    }
    spacing = task.spacing_mm or Grid.from_file(source / "imagesTr" / f"{chosen[0]}_0000{ending}").spacing_mm
    _, pools, *_ = get_pool_and_conv_props(spacing, cases[0].image.shape[1:], 4, 999999)
    first = tuple(int(factor) for factor in next(stage for stage in pools if max(stage) > 1))
    default = window_of({"target_extents_mm": extents}, spacing, first, (0, 1, 2))
    lines = []
    for name, window in (("published", published_window(first)), ("default", default)):
        number = len(labels) + 1
        everywhere, where_it_acts = np.mean([pushed(case, number, window) for case in cases], axis=0)
        small, large = (
            np.mean([corrected(case, number, window, larger=larger) for case in cases], axis=0)
            for larger in (False, True)
        )
        lines.append(
            f"| {key} | {name} | {text(window.pooling)} | {text(window.radius)} | {text(window.sigma_space)} "
            f"| {100 * everywhere:.0f} % | {100 * where_it_acts:.0f} % "
            f"| {small[0]:.2f} → {small[1]:.2f} | {large[0]:.2f} → {large[1]:.2f} |"
        )
        print(lines[-1], flush=True)
    return lines


def text(values: Sequence[float]) -> str:
    """Return the values per axis for the table."""
    return ", ".join(f"{value:.2g}" for value in values)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all tasks and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the dense datasets")
    tasks = [key for key in TASKS if key != "phantom"]
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=tasks, help="default: all")
    parser.add_argument("--cases", type=int, default=6, help="training cases per task (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "window.md", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    try:
        check_clean()
    except PasegError as error:
        parser.exit(2, f"error: {error}\n")
    torch.set_num_threads(1)
    tasks_option = "" if arguments.tasks == tasks else f" --tasks {' '.join(arguments.tasks)}"
    lines = [
        "# Window of the gated CRF loss",
        "",
        f"{arguments.cases} training cases per task, on the training grid. Radius and sigma are in voxels of the",
        "reduced image, per axis (z, y, x). In a perfect segmentation, the gradient of the loss pushes a part of the",
        "true foreground towards background: all of it, and the part that the default seeds leave unlabelled. A",
        "segmentation that is one voxel too small or too large in the unlabelled voxels has the Dice before and after",
        f"{ROUNDS} rounds in which every unlabelled voxel takes the class to which its gradient points.",
        "",
        *origin(f"python -m benchmarks.window DATA{tasks_option} --cases {arguments.cases}"),
        "| task | window | pooling | radius | sigma | pushed, all | pushed, unlabelled | too small | too large |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key in arguments.tasks:
        lines += rows(key, arguments.data, arguments.cases)
    with atomic_output(arguments.output) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
