"""The training curves of a report: from the checkpoints of a model folder, or from the plots next to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_paseg.errors import PasegError
from nnunet_paseg.plotting.curves import curves_figure
from nnunet_paseg.plotting.figures import to_png

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth")
PICTURES = {"paseg_progress.png": "loss terms", "progress.png": "nnU-Net's progress"}
PATCHES = "paseg_patches.png"
CURVES = {
    "loss": {"training": "train_losses", "validation": "val_losses"},
    "pseudo Dice": {"epoch": "mean_fg_dice", "moving average": "ema_fg_dice"},
    "learning rate": {"learning rate": "lrs"},
}
"""Panels of nnU-Net's curves: names and keys in its logging dictionary."""


@dataclass(frozen=True)
class Training:
    """One training: a fold of a model.

    Attributes:
        title: Trainer, plans, configuration and fold.
        summary: Number of epochs, and whether the training is finished.
        pictures: Captions and PNG files.
        warnings: Sentences on problems of the training.
        failure: Message on a file that cannot be used, or empty.
    """

    title: str
    summary: str
    pictures: Sequence[tuple[str, bytes]]
    warnings: Sequence[str] = ()
    failure: str = ""


def read_trainings(model: Path) -> list[Training]:
    """Return the trainings of a model folder (``Trainer__Plans__configuration``), or of one of its folds.

    Raises:
        PasegError: The folder contains no training.
    """
    folds = [model] if model.name.startswith("fold_") else sorted(model.glob("fold_*"))
    found = [training for fold in folds if (training := _read_or_explain(fold)) is not None]
    if not found:
        raise PasegError(
            f"{model}: no training found (fold_0/{CHECKPOINTS[0]}, ... or {', '.join(PICTURES)}): pass a model such as "
            "nnUNet_results/Dataset101_Tumor/PASegStage2Trainer__nnUNetPlans__3d_fullres."
        )
    return found


def _read_or_explain(fold: Path) -> Training | None:
    title = f"{fold.resolve().parent.name}, {fold.resolve().name}"
    try:
        return _read(fold, title)
    except PasegError as error:
        message = str(error)
    except Exception as error:  # whatever torch or matplotlib raises for a damaged file, it concerns this fold alone
        message = f"{fold} cannot be read ({type(error).__name__}: {error}): copy it again, or omit it from -m."
    return Training(title, "This training cannot be shown.", (), failure=message)


def _read(fold: Path, title: str) -> Training | None:
    files = [fold / name for name in CHECKPOINTS if (fold / name).is_file()]
    drawn = [(f"{name}: {what}", fold / name) for name, what in PICTURES.items() if (fold / name).is_file()]
    patches = [(PATCHES, fold / PATCHES)] if (fold / PATCHES).is_file() else []
    if not files:
        if not drawn:
            return None
        pictures = [(caption, _read_png(path)) for caption, path in (*drawn, *patches)]
        return Training(title, "There is no checkpoint; the figures are those of the training.", pictures)
    from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint  # loads nnU-Net

    history: dict[str, Any] = dict(read_checkpoint(str(files[0])).get("logging") or {})
    epochs = len(history.get("train_losses", ()))
    finished = files[0].name == CHECKPOINTS[0]
    summary = f"{epochs} epochs, {'finished' if finished else f'not finished (from {files[0].name})'}."
    pictures = [*_draw(history), *((caption, _read_png(path)) for caption, path in patches)]
    return Training(title, summary, pictures, _warnings(history, finished))


def _read_png(path: Path) -> bytes:
    """Read a PNG file.

    Raises:
        PasegError: The file is truncated or no PNG file.
    """
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n") or not content.endswith(b"IEND\xaeB`\x82"):
        raise PasegError(f"{path} is truncated or no PNG file: remove it.")
    return content


def _warnings(history: Mapping[str, Sequence[Any]], finished: bool) -> list[str]:
    found = [] if finished else ["the training is not finished: resume it with nnUNetv2_train ... --c"]
    broken = [epoch for epoch, loss in enumerate(history.get("train_losses", ())) if not math.isfinite(loss)]
    if broken:
        found.append(f"the training loss is not finite in {len(broken)} epochs, first in epoch {broken[0]}")
    return found


def _draw(history: Mapping[str, Sequence[Any]]) -> list[tuple[str, bytes]]:
    """Draw the curves of nnU-Net's logger and of this package's loss terms, if available."""
    from nnunet_paseg.trainers.watch.progress import terms_figure

    panels = {title: {name: history.get(key, ()) for name, key in curves.items()} for title, curves in CURVES.items()}
    figures = {"loss, and Dice on the labelled voxels of the validation cases": curves_figure(panels)}
    terms = terms_figure(history)
    if terms is not None:
        figures["loss terms"] = terms
    return [(caption, to_png(figure)) for caption, figure in figures.items()]
