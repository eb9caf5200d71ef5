"""``paseg export``: a trained model as a zip that a stock nnU-Net installs and runs, without this package."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunet_paseg.errors import PasegError

STOCK_TRAINER = "nnUNetTrainer"
# What nnU-Net's predictor reads; the optimizer and stage 2's other networks would only make the zip larger.
NEEDED_KEYS = ("network_weights", "init_args", "inference_allowed_mirroring_axes", "current_epoch")
# What nnU-Net's own export takes from a fold's folder besides the checkpoint.
EXPORTED_FILES = ("progress.png", "validation/summary.json")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``paseg export``."""
    parser = subparsers.add_parser(
        "export",
        help="a model zip that runs in a stock nnU-Net",
        description="Write the primary network as a model zip. Whoever gets it needs nnU-Net alone: "
        "nnUNetv2_install_pretrained_model_from_zip installs it, and nnUNetv2_predict runs it with -tr nnUNetTrainer.",
        epilog="example: paseg export -d 101 -f 0 -o tumor.zip",
    )
    parser.add_argument("-d", "--dataset", required=True, help="dataset number or name")
    parser.add_argument("-o", "--output", type=Path, required=True, help="zip file to write")
    parser.add_argument("-tr", "--trainer", default="PASegStage2Trainer", help="default: %(default)s")
    parser.add_argument("-c", "--configuration", default="3d_fullres", help="default: %(default)s")
    parser.add_argument("-p", "--plans", default="nnUNetPlans", help="default: %(default)s")
    parser.add_argument("-f", "--folds", nargs="+", default=["0", "1", "2", "3", "4"], help="default: 0 1 2 3 4")
    parser.add_argument("--overwrite", action="store_true", help="replace the zip file if it is there")
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    if arguments.output.exists() and not arguments.overwrite:
        raise PasegError(f"{arguments.output} exists already: choose another name, or pass --overwrite.")
    if "nnUNet_results" not in os.environ:
        raise PasegError("Where is the trained model? Set the environment variable nnUNet_results.")
    number = arguments.dataset
    dataset = maybe_convert_to_dataset_name(int(number) if number.isdigit() else number)
    folder = f"{arguments.trainer}__{arguments.plans}__{arguments.configuration}"
    export_model(Path(os.environ["nnUNet_results"]) / dataset / folder, arguments.output, arguments.folds)
    print(arguments.output)
    return 0


def export_model(model: Path, output: Path, folds: Sequence[str]) -> None:
    """Write a trained model as a zip for a stock nnU-Net.

    Args:
        model: ``nnUNet_results/DatasetXXX_Name/Trainer__Plans__configuration``.
        output: zip file.
        folds: to include, all of them trained and validated.

    Raises:
        PasegError: a fold is not finished, or the network is not the one of the plans.
    """
    from nnunetv2.model_sharing.model_export import export_pretrained_model

    from nnunet_paseg.files import moved_into_place

    trainer, plans, configuration = model.name.split("__")
    if "AuxTrainer" in trainer:
        raise PasegError(f"{trainer} trains another architecture than the plans name: export stage 1 or stage 2.")
    for fold in folds:
        _check_fold(model, trainer, fold)
    with tempfile.TemporaryDirectory() as temporary, _results_folder(temporary):
        stock = Path(temporary) / model.parent.name / f"{STOCK_TRAINER}__{plans}__{configuration}"
        stock.mkdir(parents=True)
        for name in ("plans.json", "dataset.json", "dataset_fingerprint.json"):
            shutil.copyfile(model / name, stock / name)
        for fold in folds:
            _copy_fold(model / f"fold_{fold}", stock / f"fold_{fold}")
        with moved_into_place(output.resolve()) as file:
            export_pretrained_model(
                model.parent.name,
                str(file),
                (configuration,),
                STOCK_TRAINER,
                plans,
                tuple(fold if fold == "all" else int(fold) for fold in folds),  # type: ignore[misc]
            )


def _check_fold(model: Path, trainer: str, fold: str) -> None:
    dataset, plans, configuration = model.parent.name, *model.name.split("__")[1:]
    command = f"nnUNetv2_train {dataset} {configuration} {fold} -tr {trainer} -p {plans}"
    final = model / f"fold_{fold}" / "checkpoint_final.pth"
    if not final.is_file():
        raise PasegError(f"Fold {fold} is not trained to its end, {final} is missing. Train it:\n    {command} --c")
    for name in EXPORTED_FILES:
        if not (final.parent / name).is_file():
            raise PasegError(f"Fold {fold} is not validated, {final.parent / name} is missing:\n    {command} --val")


def _copy_fold(source: Path, target: Path) -> None:
    import torch

    (target / "validation").mkdir(parents=True)
    for name in EXPORTED_FILES:
        shutil.copyfile(source / name, target / name)
    checkpoint: dict[str, Any] = torch.load(source / "checkpoint_final.pth", map_location="cpu", weights_only=False)
    stock = {key: checkpoint[key] for key in NEEDED_KEYS}
    torch.save({**stock, "trainer_name": STOCK_TRAINER}, target / "checkpoint_final.pth")


@contextmanager
def _results_folder(folder: str) -> Iterator[None]:
    """Let nnU-Net's export look for models in ``folder``."""
    before = os.environ.get("nnUNet_results")
    os.environ["nnUNet_results"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["nnUNet_results"]
        else:
            os.environ["nnUNet_results"] = before
