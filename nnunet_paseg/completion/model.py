"""The checkpoints of a trained model, one per fold."""

from __future__ import annotations

from pathlib import Path

from nnunet_paseg.errors import PasegError

CHECKPOINT = "checkpoint_final.pth"


def checkpoint_file(model: Path, fold: str) -> Path:
    """Return the checkpoint of a fold."""
    return model / f"fold_{fold}" / CHECKPOINT


def checkpoint_state(model: Path, fold: str) -> list[int]:
    """Return size and modification time (ns) of the checkpoint of a fold.

    Args:
        model: Folder ``nnUNet_results/DatasetXXX_Name/Trainer__Plans__configuration``.
        fold: Number of a fold, or ``all``.

    Raises:
        PasegError: It is no fold, or the fold is not trained.
    """
    if fold != "all" and not fold.isdecimal():
        raise PasegError(f"'{fold}' is not a fold: pass numbers, or all.")
    file = checkpoint_file(model, fold)
    if not file.is_file():
        trainer, plans, configuration = model.name.split("__")
        raise PasegError(
            f"Training of fold {fold} is not finished, {file} is missing: pass the trained folds with -f, or train it:"
            f"\n    nnUNetv2_train {model.parent.name} {configuration} {fold} -tr {trainer} -p {plans}"
        )
    state = file.stat()
    return [state.st_size, state.st_mtime_ns]
