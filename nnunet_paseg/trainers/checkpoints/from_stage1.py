"""The checkpoints of stage 1 that stage 2 starts from: paths, checks, and the command that trains them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnunetv2.paths import nnUNet_results
from torch import distributed, nn

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint
from nnunet_paseg.trainers.checks import check_stage1, check_weights
from nnunet_paseg.trainers.data.label_maps import FOLDER
from nnunet_paseg.trainers.names import TrainerName, parse

STAGE2 = "PASegStage2Trainer"


def load_stage1(network: nn.Module, stage2: Any, name: str) -> str:
    """Load the final weights of a trainer of stage 1 into a network of stage 2.

    Args:
        network: Network without wrappers.
        stage2: Trainer of stage 2.
        name: Name of the trainer of stage 1, without variant.

    Returns:
        Path of the checkpoint.

    Raises:
        PasegError: The checkpoint is missing, damaged or of a different training.
    """
    file, remedy = stage1_checkpoint(stage2, name), f"Train it again:\n    {stage1_command(stage2, name)}"
    checkpoint = read_checkpoint(file)
    check_stage1(checkpoint, file, stage2.my_init_kwargs, remedy)
    check_weights(checkpoint["network_weights"], network, file, remedy)
    network.load_state_dict(checkpoint["network_weights"])
    return file


def stage1_checkpoint(stage2: Any, name: str) -> str:
    """Return the final checkpoint of stage 1 for the same dataset, plans, configuration and fold.

    A variant (``PASegStage2Trainer_50epochs``) starts from the same variant of stage 1, with its suffixes in any
    order, or else from the plain one.

    Raises:
        PasegError: There is no such checkpoint.
    """
    plans = stage2.plans_manager
    results = Path(nnUNet_results) / plans.dataset_name
    ending = f"__{plans.plans_name}__{stage2.configuration_name}"
    typed = name + _variant(stage2)
    trained = sorted(path.name.removesuffix(ending) for path in results.glob("*") if path.name.endswith(ending))
    same = [other for other in trained if _meaning(typed) is not None and _meaning(other) == _meaning(typed)]
    candidates = {
        trainer: results / f"{trainer}{ending}" / f"fold_{stage2.fold}" / "checkpoint_final.pth"
        for trainer in (typed, *same, name)
    }
    for file in candidates.values():
        if file.is_file():
            return str(file)
    files = [str(candidates[trainer]) for trainer in dict.fromkeys((typed, name))]
    others = "".join(f", and so is {file}" for file in files[1:])
    raise PasegError(
        f"Stage 2 starts from stage 1, but {files[0]} is missing{others}. Train it first, or resume it with --c:\n"
        f"    {stage1_command(stage2, name)}\n"
        f"Or start from other label maps: copy them to nnUNet_raw/{plans.dataset_name}/{FOLDER}."
    )


def _meaning(name: str) -> TrainerName | None:
    """Return the meaning of the name of a trained model, or None if no trainer has this name."""
    try:
        return parse(name)
    except PasegError:
        return None


def stage1_command(stage2: Any, name: str) -> str:
    """Return the command that trains this stage 1."""
    task = f"{stage2.plans_manager.dataset_name} {stage2.configuration_name} {stage2.fold}"
    device = "" if stage2.device.type == "cuda" else f" -device {stage2.device.type}"
    if stage2.is_ddp:
        device = f" -num_gpus {distributed.get_world_size()}"
    return f"nnUNetv2_train {task} -tr {name}{_variant(stage2)} -p {stage2.plans_manager.plans_name}{device}"


def _variant(stage2: Any) -> str:
    """Return the suffix of stage 1 that matches this stage 2; empty for a subclass with a different name."""
    name = type(stage2).__name__
    return name.removeprefix(STAGE2) if name.startswith(STAGE2) else ""
