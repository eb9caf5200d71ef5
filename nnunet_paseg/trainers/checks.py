"""What must hold before a training starts: every error names what was found and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from nnunet_paseg.errors import PasegError


def check_task(trainer: Any) -> None:
    """Refuse the labels and configurations that these trainers cannot train.

    Raises:
        PasegError: the dataset has no ignore label.
        NotImplementedError: region-based labels, or a cascade.
    """
    name, labels = type(trainer).__name__, trainer.label_manager
    if labels.has_regions:
        raise NotImplementedError(
            f"{name} needs plain labels, not regions: convert the dataset with one integer label a class."
        )
    if trainer.is_cascaded:
        raise NotImplementedError(
            f"{name} does not train cascades: use 3d_fullres, 3d_lowres or 2d instead of {trainer.configuration_name}."
        )
    if not labels.has_ignore_label:
        raise PasegError(
            f"{trainer.plans_manager.dataset_name} has no 'ignore' label, so nothing in it is unlabelled. Convert "
            "the dataset with a script of dataset_conversion/ and plan it again, or train with nnUNetTrainer."
        )


def check_channels(channels: Sequence[int] | None, names: Mapping[str, str]) -> None:
    """Refuse channels that the images do not have; None stands for all of them.

    Raises:
        PasegError: names the channels there are.
    """
    if channels is not None and (not channels or not set(channels) <= set(range(len(names)))):
        raise PasegError(
            f"mcrf_channels = {channels!r} must be None or some of the channels 0 to {len(names) - 1}, which are "
            f"{list(names.values())}."
        )


def check_seeds(dataset: Any, label_manager: Any, names: Mapping[str, Any], fold: int | str) -> None:
    """Refuse to train a class of which no training case has a single voxel; a class may be absent from some.

    Cases are looked at until every class has been seen, which the first few usually do.

    Args:
        dataset: nnU-Net's training dataset of the fold.
        label_manager: nnU-Net's.
        names: class names and their labels, from dataset.json.
        fold: for the message.

    Raises:
        PasegError: a class without a seed, or cases that were preprocessed without the ignore label.
    """
    missing = set(label_manager.foreground_labels)
    # The key under which nnU-Net's preprocessing keeps annotated voxels, if it knew of the ignore label.
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
        "preprocessing: annotate the class in some case, take it out of dataset.json, or choose another split. Seeds "
        "of a few voxels can get lost when nnU-Net resamples to coarser voxels."
    )


def check_refreshes(interval: float, renewed_after: int, epochs: int) -> None:
    """Refuse a stage 2 that would end before its teachers are renewed; an interval of 1 or more means never to.

    Args:
        interval: the part of the training after which they are to be renewed.
        renewed_after: the same in epochs.
        epochs: of the training.

    Raises:
        PasegError: an interval that is not positive, or too few epochs.
    """
    if not interval > 0:
        raise PasegError(f"refresh_interval must be above 0, a part of the training such as 0.2; got {interval!r}.")
    if interval < 1 and renewed_after >= epochs:
        raise PasegError(
            f"Stage 2 with num_epochs = {epochs} would end before its teachers are renewed, which they are after "
            f"{renewed_after} (refresh_interval = {interval:g}): train more epochs, set a smaller refresh_interval, or "
            "set it to 1 to keep the first teachers."
        )


def check_pseudo_labels(kind: str) -> None:
    """Refuse pseudo labels of a kind that stage 2 does not know.

    Raises:
        PasegError: names the kinds there are.
    """
    if kind not in ("soft", "hard"):
        raise PasegError(f"pseudo_labels must be 'soft' or 'hard'; got {kind!r}.")


def training_facts(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What two trainings must have in common for the weights of one to make sense in the other.

    Args:
        arguments: a trainer's ``my_init_kwargs``, in a checkpoint ``init_args``.
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
        "the voxel size": [float(size) for size in configuration.spacing],
        "the normalisation": list(configuration.normalization_schemes),
        "the architecture": configuration.network_arch_class_name,
    }


def check_stage1(checkpoint: Mapping[str, Any], file: str, arguments: Mapping[str, Any], remedy: str) -> None:
    """Refuse a checkpoint of stage 1 that was trained for something else than this stage 2.

    Args:
        checkpoint: of stage 1.
        file: where it lies.
        arguments: stage 2's own ``my_init_kwargs``.
        remedy: what to do.

    Raises:
        PasegError: names the first difference.
    """
    if not {"init_args", "network_weights"} <= checkpoint.keys():
        raise PasegError(f"{file} is no checkpoint of an nnU-Net training. {remedy}")
    found, wanted = training_facts(checkpoint["init_args"]), training_facts(arguments)
    for fact, value in wanted.items():
        if found[fact] != value:
            raise PasegError(f"{file} was trained with {fact} {found[fact]!r}, this training has {value!r}. {remedy}")


def check_weights(weights: Mapping[str, Any], network: nn.Module, file: str, remedy: str) -> None:
    """Refuse weights of another architecture.

    Raises:
        PasegError: names the first weight that does not fit.
    """
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    for name in dict.fromkeys((*wanted, *found)):
        if found.get(name) != wanted.get(name):
            raise PasegError(
                f"{file} holds another network than this {type(network).__name__}: {name} is "
                f"{found.get(name, 'missing')} there and {wanted.get(name, 'missing')} here. {remedy}"
            )
