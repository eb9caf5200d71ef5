"""Volume calibration: in the median training case every class gets the estimated volume of its targets.

Seeds lie in the middle of the targets, background seeds at some distance. The network places the surface somewhere
between them, seldom where the targets end on average. The seed expansion has estimated how large the targets are
(the sum of the probabilities of its network): roughly for a single target, better on average over many.
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

MAX_CASES, MAX_VOXELS = 50, 50_000
"""Largest number of training cases that are predicted, and of borderline voxels per case."""

MAX_BIAS = 4.0
"""Largest bias in logits: a class that needs more has not been learned."""

MAX_LOGITS = 100_000_000
"""Largest number of logits, over all classes, to which a prediction is resampled; larger images are reduced."""


class BorderlineVoxels(NamedTuple):
    """The voxels of a case whose predicted class depends on the bias, or a sample of them.

    Attributes:
        logits: Logits (classes, voxels).
        voxel_mm3: Volume that each voxel represents, in mm³.
        remaining_mm3: Volume (foreground classes,) in mm³ that each class still has to gain: its estimated volume less
            the volume that it has with any bias. NaN for a class without a target in the case.
    """

    logits: npt.NDArray[np.float32]
    voxel_mm3: float
    remaining_mm3: npt.NDArray[np.float64]


def calibrate(network: nn.Module, trainer: Any, dataset: Any) -> list[float]:
    """Add a bias to the logits of each foreground class so that it gets its estimated volume in the median case.

    The bias is added to the bias of the last layer. The ranks divide the cases among them, because nnU-Net ends a
    training in which one rank waits for ten minutes.

    Args:
        network: One of nnU-Net's U-Nets without wrappers, which stays in evaluation mode.
        trainer: nnU-Net's trainer, with the ``likely_volume_mm3`` of the point-labelled cases in its dataset.json.
        dataset: nnU-Net's dataset of the training cases.

    Returns:
        Bias per foreground class; an empty list if no training case has an estimated volume.
    """
    cases = gather(trainer, predict(network, trainer, dataset))
    if not cases:
        return []
    found = logit_bias(cases)
    head: Any = network.decoder.seg_layers[-1]  # type: ignore[union-attr, index]
    with torch.no_grad():
        head.bias[1:] += torch.tensor(found, dtype=head.bias.dtype, device=head.bias.device)
    return found


def predict(network: nn.Module, trainer: Any, dataset: Any) -> list[BorderlineVoxels]:
    """Predict the training cases of this rank as nnU-Net does, without mirroring; return their borderline voxels."""
    on_device = trainer.device.type == "cuda"
    predictor = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=on_device, device=trainer.device, allow_tqdm=False
    )
    predictor.manual_initialization(
        network, trainer.plans_manager, trainer.configuration_manager, None, trainer.dataset_json, "", None
    )
    known, ignore = trainer.dataset_json["likely_volume_mm3"], trainer.label_manager.ignore_label
    labels = {label: name for name, label in trainer.dataset_json["labels"].items() if 0 < label < ignore}
    # Cases without a target have no volume to calibrate to, and would only take places of the others.
    names = [name for name in dataset.identifiers if any(volume > 0 for volume in known.get(name, {}).values())]
    decoder: Any = network.decoder
    supervised, decoder.deep_supervision = decoder.deep_supervision, False
    cases = []
    try:
        for name in items_of_rank(trainer, names[:: max(1, -(-len(names) // MAX_CASES))]):
            image, _, _, properties = dataset.load_case(name)
            logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(np.array(image[:])))
            original = properties["shape_after_cropping_and_before_resampling"]
            size_mm3 = math.prod(properties["spacing"]) * math.prod(original)
            likely_mm3 = np.array([known[name].get(labels[label], np.nan) for label in sorted(labels)])
            # On the CPU, which has more memory.
            cases.append(borderline_voxels(logits.cpu().float(), original, size_mm3, likely_mm3))
    finally:
        decoder.deep_supervision = supervised
    return cases


def borderline_voxels(
    logits: Tensor, shape: Sequence[int], size_mm3: float, likely_mm3: npt.NDArray[np.float64]
) -> BorderlineVoxels:
    """Return the borderline voxels on the grid of the image, to which nnU-Net resamples the logits.

    Thin targets lose volume in this resampling. A calibration on coarser voxels would leave them too small.

    Args:
        logits: Logits (classes, *spatial) of a preprocessed case.
        shape: Spatial shape of the image after the crop to nonzero, before resampling.
        size_mm3: Volume of the cropped image in mm³.
        likely_mm3: Estimated volume (foreground classes,) in the case, in mm³.
    """
    remaining_mm3 = np.where(likely_mm3 > 0, likely_mm3, np.nan)
    within_reach = logits[1:].amax(0) - logits[0] > -MAX_BIAS
    if not within_reach.any():
        return BorderlineVoxels(np.empty((len(logits), 0), dtype=np.float32), 1.0, remaining_mm3)
    places = torch.nonzero(within_reach, as_tuple=True)
    box = (slice(None), *(slice(int(axis.min()), int(axis.max()) + 1) for axis in places))
    inside = logits[box]
    finer = [wanted / size for wanted, size in zip(shape, logits.shape[1:], strict=True)]
    coarser = min(1.0, (MAX_LOGITS / (math.prod(finer) * inside.numel())) ** (1 / 3))
    size = [max(1, round(side * factor * coarser)) for side, factor in zip(inside.shape[1:], finer, strict=True)]
    voxel_mm3 = size_mm3 / logits[0].numel() * inside[0].numel() / math.prod(size)
    resampled = functional.interpolate(inside[None], size, mode="trilinear")[0].flatten(1)
    first, second = resampled.topk(2, dim=0).values
    # Both classes can have a bias, with opposite signs.
    sure = first - second >= 2 * MAX_BIAS
    decided = torch.bincount(resampled.argmax(0)[sure], minlength=len(logits))[1:].numpy()
    unsure = torch.nonzero(~sure).flatten()
    some = unsure[:: max(1, -(-len(unsure) // MAX_VOXELS))]
    each_mm3 = voxel_mm3 * len(unsure) / max(1, len(some))
    return BorderlineVoxels(resampled[:, some].numpy(), each_mm3, remaining_mm3 - decided * voxel_mm3)


def logit_bias(cases: Sequence[BorderlineVoxels]) -> list[float]:
    """Return the bias per foreground class with which it gains its remaining volume in the median case.

    The median is used because a few estimated volumes are far off and would dominate the sum over all cases. The
    classes are adjusted in turn until the bias converges. Cases without borderline voxels are left out. A class
    without a target in any case has bias 0.
    """
    found = np.zeros(len(cases[0].logits))
    cases = [case for case in cases if case.logits.size]
    for _ in range(20):
        before = found.copy()
        for label in range(1, len(found)):
            wanted = [
                _bias_in_case(case, label, found) for case in cases if not np.isnan(case.remaining_mm3[label - 1])
            ]
            if wanted:
                found[label] = np.median(wanted)
        if np.abs(found - before).max() < 1e-3:
            break
    return [float(value) for value in found[1:]]


def _bias_in_case(case: BorderlineVoxels, label: int, found: npt.NDArray[np.float64]) -> float:
    """Return the bias of one class in one case, with the bias of the other classes fixed."""
    shifted = case.logits + found[:, None].astype(np.float32)
    shifted[label] = -np.inf
    margin = shifted.max(0) - case.logits[label]
    # The margin of the last voxel that the class needs.
    place = int(np.clip(math.ceil(case.remaining_mm3[label - 1] / case.voxel_mm3) - 1, 0, len(margin) - 1))
    return float(np.clip(np.partition(margin, place)[place], -MAX_BIAS, MAX_BIAS))
