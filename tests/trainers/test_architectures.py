from types import SimpleNamespace

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet

from nnunet_paseg.trainers.architectures import PLAIN, RESIDUAL, auxiliary_network

SHARED = {
    "n_stages": 3,
    "features_per_stage": [4, 8, 16],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_conv_per_stage_decoder": [2, 2],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
IMPORTS = ["conv_op", "norm_op", "dropout_op", "nonlin"]


def configuration(name, **own):
    return SimpleNamespace(
        network_arch_class_name=name,
        network_arch_init_kwargs={**SHARED, **own},
        network_arch_init_kwargs_req_import=IMPORTS,
    )


@pytest.mark.parametrize(
    ("planned", "other"),
    [
        (configuration(PLAIN, n_conv_per_stage=[2, 2, 2]), ResidualEncoderUNet),
        (configuration(PLAIN, n_conv_per_stage=2), ResidualEncoderUNet),
        (configuration(RESIDUAL, n_blocks_per_stage=[1, 3, 4]), PlainConvUNet),
    ],
)
def test_the_other_family_with_the_plans_topology(planned, other):
    network = auxiliary_network(planned, 2, 3, deep_supervision=True)
    assert isinstance(network, other)
    outputs = network(torch.zeros(1, 2, 8, 16, 16))
    assert [tuple(output.shape) for output in outputs] == [(1, 3, 8, 16, 16), (1, 3, 8, 8, 8)]
    convolutions = 1 if other is ResidualEncoderUNet else 2
    assert [len(stage.convs) for stage in network.decoder.stages] == [convolutions, convolutions]


def test_the_plans_are_left_as_they_were():
    planned = configuration(PLAIN, n_conv_per_stage=[2, 2, 2])
    auxiliary_network(planned, 1, 2, deep_supervision=False)
    assert planned.network_arch_init_kwargs["n_conv_per_stage"] == [2, 2, 2]


def test_an_unknown_family_is_refused():
    with pytest.raises(NotImplementedError, match=r"No auxiliary network for the architecture my\.Transformer: plan"):
        auxiliary_network(configuration("my.Transformer"), 1, 2, deep_supervision=True)
