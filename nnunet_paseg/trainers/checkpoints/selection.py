"""Checkpoint selection: the validation cases that are densely annotated and not used for training."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nnunet_paseg.errors import PasegError


def selection_cases(dataset: Any, ignore_label: int, training_cases: Collection[str]) -> list[str]:
    """Return the cases without an unlabelled voxel that are no training cases, if they contain a foreground class.

    A Dice on seeds alone favours networks that predict small targets, and a Dice on training cases, as in fold
    ``all``, favours overfitting. Neither must select a checkpoint.

    Args:
        dataset: nnU-Net's dataset of the validation cases.
        ignore_label: Label of the unlabelled voxels.
        training_cases: Identifiers of the training cases.

    Returns:
        Case identifiers; an empty list if all these cases are background only, where Dice is undefined.
    """
    found, classes = [], 0
    for identifier in dataset.identifiers:
        if identifier in training_cases:
            continue
        _, labels, _, properties = dataset.load_case(identifier)
        # Slab by slab: point-labelled cases have unlabelled voxels in one of the first slabs.
        slabs = (labels[:, start : start + 32] for start in range(0, labels.shape[1], 32))
        if any((slab == ignore_label).any() for slab in slabs):
            continue
        found.append(identifier)
        # The keys are labels, and the tuple of all labels for the annotated voxels.
        locations = properties["class_locations"]
        classes += sum(len(places) > 0 for label, places in locations.items() if not isinstance(label, tuple))
    return found if classes else []


def check_best(file: str, exists: bool) -> None:
    """Raise PasegError with the reason if a checkpoint_best does not exist.

    Raises:
        PasegError: The file is a checkpoint_best that was never written.
    """
    if file.endswith("checkpoint_best.pth") and not exists:
        raise PasegError(
            f"There is no {file}: without densely annotated validation cases the best epoch is unknown, and "
            "fold all validates its training cases. Omit --val_best to use the final weights, or add densely annotated "
            "cases to the validation set of a fold (splits_final.json)."
        )
