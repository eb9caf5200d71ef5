"""Which cases can tell a good epoch from a bad one: those in which every voxel is labelled."""

from __future__ import annotations

from typing import Any

from nnunet_paseg.errors import PasegError


def fully_labelled(dataset: Any, ignore_label: int) -> list[str]:
    """Cases without an unlabelled voxel, if any class but the background occurs in them.

    A Dice on seeds alone favours networks that say little: it must not choose a checkpoint.

    Args:
        dataset: nnU-Net's, of the validation cases.
        ignore_label: of unlabelled voxels.

    Returns:
        Their names; none where they hold background only, for which a Dice is undefined.
    """
    found, classes = [], 0
    for identifier in dataset.identifiers:
        _, labels, _, properties = dataset.load_case(identifier)
        # Slab by slab: in a case with points the first unlabelled voxel is met long before the end.
        slabs = (labels[:, start : start + 32] for start in range(0, labels.shape[1], 32))
        if any((slab == ignore_label).any() for slab in slabs):
            continue
        found.append(identifier)
        # Its keys are labels, and the tuple of all of them for what is annotated.
        locations = properties["class_locations"]
        classes += sum(len(places) > 0 for label, places in locations.items() if not isinstance(label, tuple))
    return found if classes else []


def check_best(file: str, exists: bool) -> None:
    """Explain why there is no checkpoint_best to load.

    Raises:
        PasegError: the file is a checkpoint_best that was never written.
    """
    if file.endswith("checkpoint_best.pth") and not exists:
        raise PasegError(
            f"There is no {file}: without fully labelled validation cases nothing says which epoch was the best. Leave "
            "--val_best out, which uses the final weights, or put densely labelled cases into the fold's validation "
            "set (splits_final.json)."
        )
