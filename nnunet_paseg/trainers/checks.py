"""Checks before a training starts: every error states what was found and how to fix it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from nnunet_paseg.errors import PasegError


def check_task(trainer: Any) -> None:
    """Raise if these trainers cannot train on the labels or the configuration.

    Raises:
        PasegError: The dataset has no ignore label.
        NotImplementedError: The labels are regions, or the configuration is a cascade.
    """
    name, labels = type(trainer).__name__, trainer.label_manager
    if labels.has_regions:
        raise NotImplementedError(
            f"{name} needs plain labels, not regions: convert the dataset with one integer label per class."
        )
    if trainer.is_cascaded:
        raise NotImplementedError(
            f"{name} does not train cascades: use 3d_fullres, 3d_lowres or 2d instead of {trainer.configuration_name}."
        )
    if not labels.has_ignore_label:
        raise PasegError(
            f"{trainer.plans_manager.dataset_name} has no 'ignore' label, so it has no unlabelled voxels: convert "
            "the dataset with paseg convert and plan it again, or train with nnUNetTrainer."
        )


def check_channels(channels: Sequence[int] | None, names: Mapping[str, str]) -> None:
    """Raise PasegError if the images do not have these channels; None means all channels.

    Raises:
        PasegError: A channel does not exist, or the list is empty.
    """
    numbers = range(len(names))
    # True and 1.0 equal 1, but they select something else.
    if channels is not None and not (channels and all(type(each) is int and each in numbers for each in channels)):
        raise PasegError(
            f"mcrf_channels = {channels!r} is invalid: set it to None or to channels from 0 to {len(names) - 1}, which "
            f"are {list(names.values())}."
        )


def check_seeds(dataset: Any, label_manager: Any, names: Mapping[str, Any], fold: int | str) -> None:
    """Raise PasegError if a class has no voxel in any training case; single cases may lack a class.

    The cases are read until every class has been found, usually in the first few.

    Args:
        dataset: nnU-Net's training dataset of the fold.
        label_manager: nnU-Net's label manager.
        names: Class names and their labels, from dataset.json.
        fold: Fold, for the message.

    Raises:
        PasegError: A class has no seed, or a case was preprocessed without the ignore label.
    """
    missing = set(label_manager.foreground_labels)
    # Key of the annotated voxels, which nnU-Net's preprocessing stores only for datasets with an ignore label.
    annotated = (-1, *label_manager.all_labels)
    for identifier in dataset.identifiers:
        locations = dataset.load_case(identifier)[3]["class_locations"]
        if annotated not in locations:
            raise PasegError(
                f"Case {identifier} was preprocessed when the dataset had other labels, or no ignore label: run "
                "nnUNetv2_plan_and_preprocess for it again."
            )
        missing -= {label for label in missing if len(locations.get(label, ())) > 0}
        if not missing:
            return
    classes = ", ".join(repr(name) for name, label in names.items() if label in missing)
    raise PasegError(
        f"None of the {len(dataset.identifiers)} training cases of fold {fold} has a voxel labelled {classes} after "
        "preprocessing: annotate the class in a training case, remove it from dataset.json, or choose a different "
        "split. Seeds of a few voxels can disappear when nnU-Net resamples to a coarser spacing."
    )


def check_refreshes(interval: float, period: int, epochs: int) -> None:
    """Raise PasegError if stage 2 would end before its teachers are refreshed; from 1 on they never are.

    Args:
        interval: Fraction of the training between two refreshes of the teachers.
        period: Epochs between two refreshes.
        epochs: Epochs of the training.

    Raises:
        PasegError: The interval is not positive, or there are too few epochs.
    """
    if not interval > 0:
        raise PasegError(f"refresh_interval = {interval!r} is not positive: set it to a fraction such as 0.2.")
    if interval < 1 and period >= epochs:
        raise PasegError(
            f"Stage 2 with num_epochs = {epochs} would end before its teachers are refreshed after {period} epochs "
            f"(refresh_interval = {interval:g}): train more epochs, set a smaller refresh_interval, or set it to 1 to "
            "keep the first teachers."
        )


def check_pseudo_labels(kind: str) -> None:
    """Raise PasegError if stage 2 has no pseudo labels of this kind.

    Raises:
        PasegError: The kind is neither soft nor hard.
    """
    if kind not in ("soft", "hard"):
        raise PasegError(f"pseudo_labels = {kind!r} is invalid: set it to 'soft' or 'hard'.")


def training_facts(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties in which two trainings must agree to exchange weights.

    Args:
        arguments: ``my_init_kwargs`` of a trainer, or ``init_args`` of a checkpoint.
    """
    plans, dataset = PlansManager(dict(arguments["plans"])), arguments["dataset_json"]
    configuration = plans.get_configuration(arguments["configuration"])
    return {
        "the dataset": plans.dataset_name,
        "the plans": plans.plans_name,
        "the configuration": arguments["configuration"],
        "fold": str(arguments["fold"]),
        "the channels": list(dataset["channel_names"].values()),
        "the labels": dataset["labels"],
        "the spacing": [float(size) for size in configuration.spacing],
        "the normalisation": list(configuration.normalization_schemes),
        "the architecture": configuration.network_arch_class_name,
    }


def check_stage1(checkpoint: Mapping[str, Any], file: str, arguments: Mapping[str, Any], remedy: str) -> None:
    """Raise PasegError if a checkpoint of stage 1 does not match this stage 2.

    Args:
        checkpoint: Checkpoint of stage 1.
        file: Path of the checkpoint, for the message.
        arguments: ``my_init_kwargs`` of stage 2.
        remedy: Suggested fix, for the message.

    Raises:
        PasegError: The file is no checkpoint of a training, or a property of the training differs.
    """
    if not {"init_args", "network_weights"} <= checkpoint.keys():
        raise PasegError(f"{file} is not a checkpoint of an nnU-Net training. {remedy}")
    found, wanted = training_facts(checkpoint["init_args"]), training_facts(arguments)
    for fact, value in wanted.items():
        if found[fact] != value:
            raise PasegError(f"{file} was trained with {fact} {found[fact]!r}, this training has {value!r}. {remedy}")


def check_weights(weights: Mapping[str, Any], network: nn.Module, file: str, remedy: str) -> None:
    """Raise PasegError if weights do not match the architecture of a network.

    Raises:
        PasegError: A weight is missing, unknown or has a different shape.
    """
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    for name in dict.fromkeys((*wanted, *found)):
        if found.get(name) != wanted.get(name):
            raise PasegError(
                f"{file} contains a different network than this {type(network).__name__}: {name} is "
                f"{found.get(name, 'missing')} in the file and {wanted.get(name, 'missing')} here. {remedy}"
            )
