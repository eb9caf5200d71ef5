"""The checkpoints of stage 1 that stage 2 starts from: paths, checks, and the command that trains them."""

from __future__ import annotations

from typing import Any

from batchgenerators.utilities.file_and_folder_operations import isfile, join
from nnunetv2.paths import nnUNet_results
from torch import distributed, nn

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint
from nnunet_paseg.trainers.checks import check_stage1, check_weights
from nnunet_paseg.trainers.data.label_maps import FOLDER

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

    A variant (``PASegStage2Trainer_50epochs``) starts from the same variant of stage 1, or else from the plain one.

    Raises:
        PasegError: There is no such checkpoint.
    """
    plans, fold = stage2.plans_manager, f"fold_{stage2.fold}"
    files = []
    for trainer in dict.fromkeys((name + _variant(stage2), name)):
        model = f"{trainer}__{plans.plans_name}__{stage2.configuration_name}"
        files.append(join(nnUNet_results, plans.dataset_name, model, fold, "checkpoint_final.pth"))
        if isfile(files[-1]):
            return files[-1]
    others = "".join(f", and so is {file}" for file in files[1:])
    raise PasegError(
        f"Stage 2 starts from stage 1, but {files[0]} is missing{others}. Train it first, or resume it with --c:\n"
        f"    {stage1_command(stage2, name)}\n"
        f"Or start from other label maps: copy them to nnUNet_raw/{plans.dataset_name}/{FOLDER}."
    )


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
