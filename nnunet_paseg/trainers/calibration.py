"""Decisions of the right size: in the median training case every class gets the likely volume of its targets.

A network that has seen the middle of its targets, and background at some distance, draws the line somewhere between,
seldom where the targets end on average. How large they probably are is known since the points were expanded
(:mod:`nnunet_paseg.seeds.likely_volume`): for a single target only roughly, for many on average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor, nn
from torch.nn import functional

from nnunet_paseg.trainers.ranks import gather, items_of_rank

MOST_CASES, MOST_VOXELS = 50, 50_000
"""Training cases that are predicted, and undecided voxels of each that are looked at: enough for a mean."""

LARGEST_SHIFT = 4.0
"""In logits: what needs more has not been learned, and is not mended by a threshold."""

FINEST = 100_000_000
"""Logits that a prediction is resampled to, of all classes; larger images are looked at more coarsely."""


class Undecided(NamedTuple):
    """The voxels of a case that shifts of the logits can turn over, or some of them.

    Attributes:
        logits: (classes, voxels).
        voxel_mm3: what each of them stands for.
        missing_mm3: (foreground classes,) how much of them a class should get: its likely volume in the case less what
            it has beyond question. NaN for a class that the case has no target of.
    """

    logits: npt.NDArray[np.float32]
    voxel_mm3: float
    missing_mm3: npt.NDArray[np.float64]


def calibrate(network: nn.Module, trainer: Any, dataset: Any) -> list[float]:
    """Shift the logits of the foreground classes so that they get their likely volumes in the median training case.

    The shifts become part of the network, as biases of its last layer. Several GPUs share the cases: none waits longer
    for another than it works itself, since nnU-Net ends a training in which one waits for ten minutes.

    Args:
        network: bare, of nnU-Net's U-Nets; stays in evaluation mode.
        trainer: nnU-Net's, whose dataset.json holds the ``likely_volume_mm3`` of the point-labelled cases.
        dataset: nnU-Net's, of the training cases.

    Returns:
        The shifts by foreground class; none where no training case has a likely volume.
    """
    cases = gather(trainer, predict(network, trainer, dataset))
    if not cases:
        return []
    found = shifts(cases)
    head: Any = network.decoder.seg_layers[-1]  # type: ignore[union-attr, index]
    with torch.no_grad():
        head.bias[1:] += torch.tensor(found, dtype=head.bias.dtype, device=head.bias.device)
    return found


def predict(network: nn.Module, trainer: Any, dataset: Any) -> list[Undecided]:
    """What the network leaves undecided in the training cases, or in this GPU's share of them.

    They are predicted as nnU-Net does, without mirroring.
    """
    on_device = trainer.device.type == "cuda"
    predictor = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=on_device, device=trainer.device, allow_tqdm=False
    )
    predictor.manual_initialization(
        network, trainer.plans_manager, trainer.configuration_manager, None, trainer.dataset_json, "", None
    )
    known, ignore = trainer.dataset_json["likely_volume_mm3"], trainer.label_manager.ignore_label
    labels = {label: name for name, label in trainer.dataset_json["labels"].items() if 0 < label < ignore}
    names = [name for name in dataset.identifiers if name in known]
    decoder: Any = network.decoder
    supervised, decoder.deep_supervision = decoder.deep_supervision, False
    cases = []
    try:
        for name in items_of_rank(trainer, names[:: max(1, -(-len(names) // MOST_CASES))]):
            image, _, _, properties = dataset.load_case(name)
            logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(np.array(image[:])))
            original = properties["shape_after_cropping_and_before_resampling"]
            size_mm3 = math.prod(properties["spacing"]) * math.prod(original)
            likely_mm3 = np.array([known[name][labels[label]] for label in sorted(labels)])
            # On the CPU, where there is room.
            cases.append(undecided(logits.cpu().float(), original, size_mm3, likely_mm3))
    finally:
        decoder.deep_supervision = supervised
    return cases


def undecided(logits: Tensor, shape: Sequence[int], size_mm3: float, likely_mm3: npt.NDArray[np.float64]) -> Undecided:
    """What is undecided at the image's own voxels, to which nnU-Net resamples the logits before it decides.

    Thin targets lose volume there: decisions of the right size on coarser voxels would be too small.

    Args:
        logits: (classes, *spatial), of a preprocessed case.
        shape: of the image, without what nnU-Net has cropped.
        size_mm3: of the whole image.
        likely_mm3: likely volume in the case of every foreground class.
    """
    missing_mm3 = np.where(likely_mm3 > 0, likely_mm3, np.nan)
    within_reach = logits[1:].amax(0) - logits[0] > -LARGEST_SHIFT
    if not within_reach.any():
        return Undecided(np.empty((len(logits), 0), dtype=np.float32), 1.0, missing_mm3)
    places = torch.nonzero(within_reach, as_tuple=True)
    box = (slice(None), *(slice(int(axis.min()), int(axis.max()) + 1) for axis in places))
    inside = logits[box]
    finer = [wanted / size for wanted, size in zip(shape, logits.shape[1:], strict=True)]
    coarser = min(1.0, (FINEST / (math.prod(finer) * inside.numel())) ** (1 / 3))
    size = [max(1, round(side * factor * coarser)) for side, factor in zip(inside.shape[1:], finer, strict=True)]
    voxel_mm3 = size_mm3 / logits[0].numel() * inside[0].numel() / math.prod(size)
    resampled = functional.interpolate(inside[None], size, mode="trilinear")[0].flatten(1)
    first, second = resampled.topk(2, dim=0).values
    # Two classes may be shifted against each other.
    sure = first - second >= 2 * LARGEST_SHIFT
    decided = torch.bincount(resampled.argmax(0)[sure], minlength=len(logits))[1:].numpy()
    unsure = torch.nonzero(~sure).flatten()
    some = unsure[:: max(1, -(-len(unsure) // MOST_VOXELS))]
    each_mm3 = voxel_mm3 * len(unsure) / max(1, len(some))
    return Undecided(resampled[:, some].numpy(), each_mm3, missing_mm3 - decided * voxel_mm3)


def shifts(cases: Sequence[Undecided]) -> list[float]:
    """What to add to the logits of each foreground class, so that in the median case it wins what it misses.

    Not so that all cases together do: likely volumes are far off here and there, and a few of them would move the rest.
    One class after the other is shifted, until nothing moves any more. Cases in which nothing is within reach do not
    count, and a class of which no case has a target stays as it is.
    """
    found = np.zeros(len(cases[0].logits))
    cases = [case for case in cases if case.logits.size]
    for _ in range(20):
        before = found.copy()
        for label in range(1, len(found)):
            wanted = [_shift(case, label, found) for case in cases if not np.isnan(case.missing_mm3[label - 1])]
            if wanted:
                found[label] = np.median(wanted)
        if np.abs(found - before).max() < 1e-3:
            break
    return [float(shift) for shift in found[1:]]


def _shift(case: Undecided, label: int, found: npt.NDArray[np.float64]) -> float:
    """Of one class in one case, with those of the other classes as they are."""
    shifted = case.logits + found[:, None].astype(np.float32)
    shifted[label] = -np.inf
    margin = shifted.max(0) - case.logits[label]
    # Of the last voxel that it needs.
    place = int(np.clip(math.ceil(case.missing_mm3[label - 1] / case.voxel_mm3) - 1, 0, len(margin) - 1))
    return float(np.clip(np.partition(margin, place)[place], -LARGEST_SHIFT, LARGEST_SHIFT))
