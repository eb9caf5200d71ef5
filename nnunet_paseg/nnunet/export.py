"""`paseg export`: a trained model as a zip file that a stock nnU-Net installs and runs without this package."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output, check_output, write_json
from nnunet_paseg.io.nnunet_folders import nnunet_folder

STOCK_TRAINER = "nnUNetTrainer"
AUXILIARY_SUFFIX = "Aux"
"""Suffix of the plans of an auxiliary network, so that both networks of stage 2 can be installed."""
# Keys that nnU-Net's predictor reads; the optimizer and the other networks of stage 2 would only enlarge the zip.
NEEDED_KEYS = ("network_weights", "init_args", "inference_allowed_mirroring_axes", "current_epoch")
# Files that nnU-Net's export takes from the folder of a fold, in addition to the checkpoint.
SUMMARY, PROGRESS = "validation/summary.json", "progress.png"
UNVALIDATED = {"note": "Stage 2 validates its primary network; this is the auxiliary one, which was not validated."}

Network = Literal["primary", "auxiliary"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg export`."""
    parser = subparsers.add_parser(
        "export",
        help="write a model zip that a stock nnU-Net runs",
        description="Write a trained network as a model zip that needs nnU-Net alone: "
        "nnUNetv2_install_pretrained_model_from_zip installs it, and nnUNetv2_predict runs it as a model of "
        "nnUNetTrainer. To average both networks of stage 2, export each, predict with each and --save_probabilities, "
        "and pass both predictions to nnUNetv2_ensemble.",
        epilog="example: paseg export -d 101 -f 0 -o tumor.zip",
    )
    parser.add_argument("-d", "--dataset", required=True, help="dataset number or name")
    parser.add_argument("-o", "--output", type=Path, required=True, help="zip file to write")
    parser.add_argument("-tr", "--trainer", default="PASegStage2Trainer", help="trainer (default: %(default)s)")
    parser.add_argument("-c", "--configuration", default="3d_fullres", help="configuration (default: %(default)s)")
    parser.add_argument("-p", "--plans", default="nnUNetPlans", help="plans (default: %(default)s)")
    parser.add_argument(
        "-f",
        "--folds",
        nargs="+",
        default=["0", "1", "2", "3", "4"],
        help="folds to export, or all (default: 0 1 2 3 4)",
    )
    parser.add_argument(
        "--network",
        choices=("primary", "auxiliary"),
        default="primary",
        help="network of stage 2 to export; nnUNetv2_predict uses the primary one (default: %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the zip file if it exists")
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.output.exists() and not arguments.overwrite:
        raise PasegError(f"{arguments.output} exists already: choose another name, or pass --overwrite.")
    check_output(arguments.output)
    dataset = find_dataset(arguments.dataset)
    folder = f"{arguments.trainer}__{arguments.plans}__{arguments.configuration}"
    model = results_folder() / dataset / folder
    plans = export_model(model, arguments.output, arguments.folds, network=arguments.network)
    print(
        f"nnUNetv2_install_pretrained_model_from_zip {arguments.output}\n"
        f"nnUNetv2_predict -i IN -o OUT -d {dataset} -c {arguments.configuration} -f {' '.join(arguments.folds)} "
        f"-tr {STOCK_TRAINER} -p {plans}"
    )
    return 0


def results_folder() -> Path:
    """Return the folder of trained models.

    Raises:
        PasegError: The environment variable nnUNet_results is not set, or starts with "~".
    """
    if (folder := nnunet_folder("nnUNet_results")) is None:
        raise PasegError("No results folder: set the environment variable nnUNet_results.")
    return folder


def find_dataset(name: str) -> str:
    """Return the full name of a trained dataset from its number or its full name.

    Raises:
        PasegError: No dataset has this number or name, or several have this number.
    """
    results = results_folder()
    there = sorted(path.name for path in results.glob("Dataset[0-9][0-9][0-9]_*") if path.is_dir())
    found = [dataset for dataset in there if dataset == name or (name.isdecimal() and int(dataset[7:10]) == int(name))]
    if len(found) != 1:
        raise PasegError(
            f"{name} matches {len(found) or 'none'} of the datasets in {results}: pass the number or the full name "
            f"of one. Existing datasets: {', '.join(there) or 'none'}."
        )
    return found[0]


def export_model(model: Path, output: Path, folds: Sequence[str], *, network: Network = "primary") -> str:
    """Write a trained model as a zip for a stock nnU-Net.

    A network of the auxiliary architecture, of stage 1 or stage 2, gets plans with this architecture. Their name ends
    in ``Aux``.

    Args:
        model: Folder ``nnUNet_results/DatasetXXX_Name/Trainer__Plans__configuration``.
        output: Zip file.
        folds: Folds to include, all of them trained and validated.
        network: Network of stage 2 to export.

    Returns:
        Name of the plans in the zip.

    Raises:
        PasegError: A fold is not finished, a file is missing or damaged, the network cannot run in a stock nnU-Net,
            or the zip cannot be written.
    """
    try:
        return _export(model, output, folds, network)
    except OSError as error:
        raise PasegError(
            f"{output}: cannot be written ({error}): free disk space, or choose another folder."
        ) from error


def _export(model: Path, output: Path, folds: Sequence[str], network: Network) -> str:
    from nnunetv2.model_sharing.model_export import export_pretrained_model

    trainer, _, configuration = model.name.split("__")
    folds = list(dict.fromkeys(folds))
    for fold in folds:
        if fold != "all" and not fold.isdecimal():
            raise PasegError(f"'{fold}' is not a fold: pass numbers, or all.")
        _check_fold(model, trainer, fold)
    checkpoints = {fold: _read(model / f"fold_{fold}" / "checkpoint_final.pth", network) for fold in folds}
    weights = [checkpoint["network_weights"] for checkpoint in checkpoints.values()]
    plans = _plans_of(weights, model, configuration)
    with tempfile.TemporaryDirectory() as temporary, _results_folder(temporary):
        stock = Path(temporary) / model.parent.name / f"{STOCK_TRAINER}__{plans['plans_name']}__{configuration}"
        stock.mkdir(parents=True)
        write_json(plans, stock / "plans.json")
        for name in ("dataset.json", "dataset_fingerprint.json"):
            write_json(read_json_object(model / name), stock / name)
        for fold, checkpoint in checkpoints.items():
            _write_fold(checkpoint, plans, model / f"fold_{fold}", stock / f"fold_{fold}")
            if network == "auxiliary":
                write_json(UNVALIDATED, stock / f"fold_{fold}" / "validation" / "summary.json")
        with atomic_output(output.resolve()) as file:
            export_pretrained_model(
                model.parent.name,
                str(file),
                (configuration,),
                STOCK_TRAINER,
                plans["plans_name"],
                tuple(fold if fold == "all" else int(fold) for fold in folds),  # type: ignore[misc]
            )
    return str(plans["plans_name"])


def _check_fold(model: Path, trainer: str, fold: str) -> None:
    dataset, plans, configuration = model.parent.name, *model.name.split("__")[1:]
    command = f"nnUNetv2_train {dataset} {configuration} {fold} -tr {trainer} -p {plans}"
    final = model / f"fold_{fold}" / "checkpoint_final.pth"
    if not final.is_file():
        raise PasegError(f"Training of fold {fold} is not finished, {final} is missing. Resume it:\n    {command} --c")
    if not (final.parent / SUMMARY).is_file():
        raise PasegError(
            f"Fold {fold} is not validated, {final.parent / SUMMARY} is missing. Validate it:\n    {command} --val"
        )


def _read(file: Path, network: Network) -> dict[str, Any]:
    """Read the keys of a checkpoint that a stock nnU-Net needs, with the weights of the chosen network."""
    from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint

    checkpoint = read_checkpoint(str(file))
    if missing := [key for key in NEEDED_KEYS if key not in checkpoint]:
        raise PasegError(
            f"{file} has no {', '.join(missing)}: it is not a complete checkpoint of nnU-Net, train the fold again."
        )
    stock = {**{key: checkpoint[key] for key in NEEDED_KEYS}, "trainer_name": STOCK_TRAINER}
    if network == "auxiliary":
        if "auxiliary_weights" not in checkpoint.get("paseg", {}):
            raise PasegError(
                f"{file} contains one network: leave out --network, which chooses among the two networks of stage 2."
            )
        stock["network_weights"] = checkpoint["paseg"]["auxiliary_weights"]
    return stock


def _plans_of(weights: Sequence[Mapping[str, Any]], model: Path, configuration: str) -> dict[str, Any]:
    """Return the model's plans with the architecture of these weights, which all folds must share."""
    from nnunet_paseg.trainers.architectures import auxiliary_plans, weight_shapes

    plans, dataset = read_json_object(model / "plans.json"), read_json_object(model / "dataset.json")
    found = [{name: tuple(tensor.shape) for name, tensor in fold.items()} for fold in weights]
    if all(shapes == weight_shapes(plans, configuration, dataset) for shapes in found):
        return plans
    plans = auxiliary_plans(plans, configuration, plans["plans_name"] + AUXILIARY_SUFFIX)
    if all(shapes == weight_shapes(plans, configuration, dataset) for shapes in found):
        return plans
    raise PasegError(
        f"{model} contains a network of a different architecture than its plans: a stock nnU-Net cannot run it."
    )


def read_json_object(file: Path) -> dict[str, Any]:
    """Read a JSON object that nnU-Net wrote.

    Raises:
        PasegError: The file is missing or damaged.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PasegError(f"{file} is missing: copy it from the machine on which the model was trained.") from error
    except (ValueError, RecursionError) as error:
        raise PasegError(
            f"{file} is damaged ({error}): copy it from the machine on which the model was trained."
        ) from error
    if not isinstance(content, dict):
        raise PasegError(f"{file} is not a JSON object: copy it from the machine on which the model was trained.")
    return content


def _write_fold(checkpoint: dict[str, Any], plans: dict[str, Any], source: Path, target: Path) -> None:
    import torch

    (target / "validation").mkdir(parents=True)
    shutil.copyfile(source / SUMMARY, target / SUMMARY)
    if (source / PROGRESS).is_file():
        shutil.copyfile(source / PROGRESS, target / PROGRESS)
    else:
        _draw_progress(source / "checkpoint_final.pth", target)
    init_args = {**checkpoint["init_args"], "plans": plans}
    torch.save({**checkpoint, "init_args": init_args}, target / "checkpoint_final.pth")


def _draw_progress(checkpoint: Path, folder: Path) -> None:
    """Draw nnU-Net's progress.png, which its export requires and which only a training epoch writes."""
    from nnunetv2.training.logging.nnunet_logger import LocalLogger

    from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint

    history = read_checkpoint(str(checkpoint)).get("logging")
    if not history:
        raise PasegError(
            f"{checkpoint.with_name(PROGRESS)} is missing, and {checkpoint.name} contains no log to draw it from: copy "
            "it from the machine on which the fold was trained."
        )
    logger = LocalLogger()
    logger.load_checkpoint(history)
    logger.plot_progress_png(str(folder))


@contextmanager
def _results_folder(folder: str) -> Iterator[None]:
    """Set the folder in which nnU-Net's export finds models."""
    before = os.environ.get("nnUNet_results")
    os.environ["nnUNet_results"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["nnUNet_results"]
        else:
            os.environ["nnUNet_results"] = before
