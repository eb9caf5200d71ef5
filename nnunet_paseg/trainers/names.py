"""Trainer names: a plain name and suffixes in any order, as in ``PASegStage1Trainer_paper_50epochs``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from nnunet_paseg.errors import PasegError

PLAIN_NAMES = {
    "PASegStage1Trainer": "stage 1: trained on the seeds, and on the image in the unlabelled voxels",
    "PASegStage1AuxTrainer": "stage 1 of the auxiliary network: the same loss, a different architecture",
    "PASegStage2Trainer": "stage 2: two networks, trained on the seeds and on the predictions of their teachers",
    "nnUNetTrainer": "nnU-Net's own trainer, here with suffixes",
}
"""Trainers that can have suffixes: those of this package and stock nnU-Net's, each with its description."""
SUFFIXES = {
    "_paper": "hyper-parameters of the paper (not nnUNetTrainer)",
    "_prior": "output layers that start at background probability 0.95 (nnUNetTrainer only)",
    "_nomirroring": "no mirroring in augmentation and prediction",
    "_{N}epochs": "N epochs",
    "_{M}iterations": "M iterations per epoch",
}
"""Suffixes of a trainer's name, each with its effect."""


@dataclass(frozen=True)
class TrainerName:
    """The meaning of a trainer name, whatever the order of its suffixes.

    Attributes:
        trainer: Name of the trainer without suffixes.
        paper: True for the hyper-parameters of the paper.
        prior: True for a stock network that starts at the prior (see prior.py), as this package's networks always do.
        nomirroring: True for no mirroring in augmentation and prediction.
        epochs: Epochs, or None for the default.
        iterations: Iterations per epoch, or None for the default.
    """

    trainer: str
    paper: bool = False
    prior: bool = False
    nomirroring: bool = False
    epochs: int | None = None
    iterations: int | None = None


def parse(name: str) -> TrainerName | None:
    """Return the meaning of a trainer name, or None if the name is not of this package.

    Args:
        name: One of :data:`PLAIN_NAMES`, then any of ``_paper``, ``_prior``, ``_nomirroring``, ``_{N}epochs`` and
            ``_{M}iterations`` (per epoch), in any order.

    Raises:
        PasegError: A suffix occurs twice, its number is 0, or the trainer does not have it.
    """
    suffix = "_paper|_prior|_nomirroring|_[0-9]{1,9}epochs|_[0-9]{1,9}iterations"
    match = re.fullmatch(rf"({'|'.join(PLAIN_NAMES)})((?:{suffix})*)", name)
    if match is None:
        return None
    values: dict[str, Any] = {}
    for number, kind in re.findall(r"_([0-9]*)([a-z]+)", match[2]):
        if kind in values:
            raise PasegError(f"The trainer name {name} has two suffixes for {kind}: keep one of them.")
        if number and int(number) == 0:
            raise PasegError(f"The trainer name {name} has 0 {kind}: use at least 1.")
        values[kind] = int(number) if number else True
    if "paper" in values and match[1] == "nnUNetTrainer":
        raise PasegError(f"The trainer name {name} contains _paper, which nnUNetTrainer does not have: omit it.")
    if "prior" in values and match[1] != "nnUNetTrainer":
        raise PasegError(f"The trainer name {name} contains _prior, which {match[1]} always has: omit it.")
    return TrainerName(match[1], **values)
