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
    """Return class and arguments of the auxiliary network: residual for plain plans, plain for residual ones.

    Stages, strides and features are those of the plans. A residual block has two convolutions. One block therefore
    replaces two plain convolutions, and two plain convolutions replace any number of blocks. Each family has its
    decoder as nnU-Net plans it: two convolutions per stage in the plain one, one in the residual one.

    Args:
        name: Class of the plans' network.
        arguments: Arguments of that class in the plans, which are not changed.

    Raises:
        NotImplementedError: The architecture is neither plain nor residual.
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
    """Build the auxiliary network of :func:`auxiliary_architecture`.

    Args:
        configuration: Configuration of the plans.
        input_channels: Number of image channels.
        output_channels: Number of segmentation heads.
        deep_supervision: True if the decoder returns all resolutions in training.

    Raises:
        NotImplementedError: The plans' architecture is neither plain nor residual.
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
    """Return renamed plans in which the network of a configuration is the auxiliary one.

    Raises:
        NotImplementedError: The plans' architecture is neither plain nor residual.
    """
    planned = PlansManager(plans).get_configuration(configuration).configuration["architecture"]
    network, arguments = auxiliary_architecture(planned["network_class_name"], planned["arch_kwargs"])
    architecture = {**planned, "network_class_name": network, "arch_kwargs": arguments}
    configurations = plans["configurations"]
    changed = {**configurations, configuration: {**configurations[configuration], "architecture": architecture}}
    return {**plans, "plans_name": name, "configurations": changed}


def weight_shapes(plans: dict[str, Any], configuration: str, dataset: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every weight of the network that stock nnU-Net builds for plans and dataset.json."""
    manager = PlansManager(plans)
    chosen = manager.get_configuration(configuration)
    channels = determine_num_input_channels(manager, chosen, dataset)
    heads = manager.get_label_manager(dataset).num_segmentation_heads
    with torch.device("meta"):  # shapes without memory
        network = nnUNetTrainer.build_network_architecture(manager, chosen, channels, heads, False)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def to_channels_last(network: nn.Module, device: torch.device) -> None:
    """Convert the weights to the channels-last memory format in place, on a CPU only.

    oneDNN's convolutions are faster in this format, most of all in small networks. The results are the same, apart
    from rounding. On a GPU cuDNN chooses the format itself.

    Args:
        network: Network in two or three dimensions.
        device: Device of the network.
    """
    if device.type == "cpu":
        flat = not any(weight.dim() == 5 for weight in network.parameters())
        network.to(memory_format=torch.channels_last if flat else torch.channels_last_3d)  # type: ignore[call-overload]
