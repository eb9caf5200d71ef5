"""The auxiliary network: the plans' topology in the other family of U-Nets. Also the memory format of all networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

PLAIN = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
RESIDUAL = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"


def auxiliary_architecture(name: str, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Class and arguments for cross teaching: a residual encoder where the plans say plain, or the reverse.

    Stages, strides and features are those of the plans. A residual block has two convolutions: one block replaces two
    plain convolutions, and two plain convolutions replace however many blocks. Each family has its decoder as nnU-Net
    plans it: two convolutions a stage in the plain one, one in the residual one, which pays for its stem.

    Args:
        name: class of the plans' network.
        arguments: its arguments in the plans; left as they are.

    Raises:
        NotImplementedError: an architecture that is neither.
    """
    arguments = dict(arguments)
    family = name.rsplit(".", 1)[-1]
    if family == "PlainConvUNet":
        convolutions = arguments.pop("n_conv_per_stage")
        convolutions = [convolutions] * arguments["n_stages"] if isinstance(convolutions, int) else convolutions
        arguments["n_blocks_per_stage"] = [max(1, number // 2) for number in convolutions]
        arguments["n_conv_per_stage_decoder"] = [1] * (arguments["n_stages"] - 1)
        return RESIDUAL, arguments
    if family == "ResidualEncoderUNet":
        arguments.pop("n_blocks_per_stage")
        arguments["n_conv_per_stage"] = [2] * arguments["n_stages"]
        arguments["n_conv_per_stage_decoder"] = [2] * (arguments["n_stages"] - 1)
        return PLAIN, arguments
    raise NotImplementedError(
        f"No auxiliary network for the architecture {name}: plan the dataset with nnU-Net's default or a ResEnc "
        "planner."
    )


def auxiliary_network(
    configuration: ConfigurationManager, input_channels: int, output_channels: int, deep_supervision: bool
) -> nn.Module:
    """Network for cross teaching, of :func:`auxiliary_architecture`.

    Args:
        configuration: the plans' configuration.
        input_channels: image channels.
        output_channels: segmentation heads.
        deep_supervision: whether the decoder returns all resolutions in training.

    Raises:
        NotImplementedError: the plans' architecture is of neither family.
    """
    return get_network_from_plans(
        *auxiliary_architecture(configuration.network_arch_class_name, configuration.network_arch_init_kwargs),
        configuration.network_arch_init_kwargs_req_import,
        input_channels,
        output_channels,
        allow_init=True,
        deep_supervision=deep_supervision,
    )


def auxiliary_plans(plans: dict[str, Any], configuration: str, name: str) -> dict[str, Any]:
    """Plans under another name in which a configuration's network is the auxiliary one.

    Raises:
        NotImplementedError: the plans' architecture is of neither family.
    """
    planned = PlansManager(plans).get_configuration(configuration).configuration["architecture"]
    network, arguments = auxiliary_architecture(planned["network_class_name"], planned["arch_kwargs"])
    architecture = {**planned, "network_class_name": network, "arch_kwargs": arguments}
    configurations = plans["configurations"]
    changed = {**configurations, configuration: {**configurations[configuration], "architecture": architecture}}
    return {**plans, "plans_name": name, "configurations": changed}


def weight_shapes(plans: dict[str, Any], configuration: str, dataset: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of the network that stock nnU-Net builds for these plans and dataset.json."""
    manager = PlansManager(plans)
    chosen = manager.get_configuration(configuration)
    channels = determine_num_input_channels(manager, chosen, dataset)
    heads = manager.get_label_manager(dataset).num_segmentation_heads
    with torch.device("meta"):  # shapes without memory
        network = nnUNetTrainer.build_network_architecture(manager, chosen, channels, heads, False)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def to_channels_last(network: nn.Module, device: torch.device) -> None:
    """On a CPU, put the channels of all kernels last, which makes oneDNN's convolutions faster; in place.

    Small networks gain most. A GPU is left alone: cuDNN chooses for itself there.

    Args:
        network: in two or three dimensions. What it computes stays the same, but for rounding.
        device: that it runs on.
    """
    if device.type == "cpu":
        flat = not any(weight.dim() == 5 for weight in network.parameters())
        network.to(memory_format=torch.channels_last if flat else torch.channels_last_3d)  # type: ignore[call-overload]
