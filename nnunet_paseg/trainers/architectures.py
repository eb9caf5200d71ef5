"""The auxiliary network: the plans' own topology in the other family of U-Nets."""

from __future__ import annotations

from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager
from torch import nn

PLAIN = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
RESIDUAL = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"


def auxiliary_network(
    configuration: ConfigurationManager, input_channels: int, output_channels: int, deep_supervision: bool
) -> nn.Module:
    """Network for cross teaching: a residual encoder where the plans say plain, and the reverse.

    Stages, strides, features and decoder are those of the plans. A residual block has two convolutions, so both
    families cost about the same: one block replaces two plain convolutions, and two plain convolutions replace
    however many blocks.

    Args:
        configuration: the plans' configuration.
        input_channels: image channels.
        output_channels: segmentation heads.
        deep_supervision: whether the decoder returns all resolutions in training.

    Raises:
        NotImplementedError: an architecture that is neither.
    """
    arguments = dict(configuration.network_arch_init_kwargs)
    family = configuration.network_arch_class_name.rsplit(".", 1)[-1]
    if family == "PlainConvUNet":
        convolutions = arguments.pop("n_conv_per_stage")
        convolutions = [convolutions] * arguments["n_stages"] if isinstance(convolutions, int) else convolutions
        arguments["n_blocks_per_stage"] = [max(1, number // 2) for number in convolutions]
        other = RESIDUAL
    elif family == "ResidualEncoderUNet":
        arguments.pop("n_blocks_per_stage")
        arguments["n_conv_per_stage"] = [2] * arguments["n_stages"]
        other = PLAIN
    else:
        raise NotImplementedError(
            f"No auxiliary network for the architecture {configuration.network_arch_class_name}: plan the dataset with "
            "nnU-Net's default or a ResEnc planner."
        )
    return get_network_from_plans(
        other,
        arguments,
        configuration.network_arch_init_kwargs_req_import,
        input_channels,
        output_channels,
        allow_init=True,
        deep_supervision=deep_supervision,
    )
