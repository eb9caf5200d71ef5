"""The training curves of a report: from the checkpoints of a model folder, or from the pictures beside them."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunet_paseg.errors import PasegError

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth")
PICTURES = {"paseg_progress.png": "loss terms", "progress.png": "nnU-Net's progress"}
PATCHES = "paseg_patches.png"


@dataclass(frozen=True)
class Training:
    """One training: a fold of a model.

    Attributes:
        title: trainer, plans, configuration and fold.
        summary: how far it got.
        pictures: caption and PNG file.
        warnings: what a reader should know.
    """

    title: str
    summary: str
    pictures: Sequence[tuple[str, bytes]]
    warnings: Sequence[str] = field(default_factory=tuple)


def read_trainings(model: Path) -> list[Training]:
    """The trainings of a model folder (``Trainer__Plans__configuration``), or of one of its folds.

    Raises:
        PasegError: the folder holds no training, or a checkpoint cannot be read.
    """
    folds = [model] if model.name.startswith("fold_") else sorted(model.glob("fold_*"))
    found = [training for fold in folds if (training := _read(fold)) is not None]
    if not found:
        raise PasegError(
            f"{model}: no training in it (fold_0/{CHECKPOINTS[0]}, ... or {', '.join(PICTURES)}); pass a model such as "
            "nnUNet_results/Dataset101_Tumor/PASegStage2Trainer__nnUNetPlans__3d_fullres."
        )
    return found


def _read(fold: Path) -> Training | None:
    files = [fold / name for name in CHECKPOINTS if (fold / name).is_file()]
    drawn = [(f"{name}: {what}", fold / name) for name, what in PICTURES.items() if (fold / name).is_file()]
    title = f"{fold.resolve().parent.name}, {fold.resolve().name}"
    patches = [(PATCHES, fold / PATCHES)] if (fold / PATCHES).is_file() else []
    if not files:
        if not drawn:
            return None
        pictures = [(caption, path.read_bytes()) for caption, path in (*drawn, *patches)]
        return Training(title, "There is no checkpoint: the pictures are those of the training.", pictures)
    from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint  # loads nnU-Net

    history: dict[str, Any] = dict(read_checkpoint(str(files[0])).get("logging") or {})
    epochs = len(history.get("train_losses", ()))
    finished = files[0].name == CHECKPOINTS[0]
    summary = f"{epochs} epochs, {'finished' if finished else f'not finished (from {files[0].name})'}."
    pictures = [*_draw(history), *((caption, path.read_bytes()) for caption, path in patches)]
    return Training(title, summary, pictures, _warnings(history, finished))


def _warnings(history: Mapping[str, Sequence[Any]], finished: bool) -> list[str]:
    found = [] if finished else ["the training is not finished; continue it with nnUNetv2_train ... --c"]
    broken = [epoch for epoch, loss in enumerate(history.get("train_losses", ())) if not math.isfinite(loss)]
    if broken:
        found.append(f"the training loss is not finite in {len(broken)} epochs, first in epoch {broken[0]}")
    return found


def _draw(history: Mapping[str, Sequence[Any]]) -> list[tuple[str, bytes]]:
    """The curves of nnU-Net's logger and of this package's loss terms, as far as they were logged."""
    from nnunet_paseg.trainers.watch.progress import plot_terms

    with tempfile.TemporaryDirectory() as folder:
        stock, terms = Path(folder) / "stock.png", Path(folder) / "terms.png"
        _plot_stock(history, stock)
        plot_terms(history, terms)
        captions = {stock: "loss, and Dice on the labelled voxels of the validation cases", terms: "loss terms"}
        return [(caption, path.read_bytes()) for path, caption in captions.items() if path.exists()]


def _plot_stock(history: Mapping[str, Sequence[Any]], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = {
        "loss": {"training": "train_losses", "validation": "val_losses"},
        "pseudo Dice": {"epoch": "mean_fg_dice", "moving average": "ema_fg_dice"},
        "learning rate": {"": "lrs"},
    }
    figure = Figure(figsize=(12, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), number)
        for label, key in curves.items():
            values = [float(value) for value in history.get(key, ())]
            axes.plot(range(len(values)), values, marker="." if len(values) < 30 else "", label=label)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if len(curves) > 1:
            axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=100)
