import copy
from types import SimpleNamespace

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

from nnunet_paseg.trainers import PASegStage2Trainer
from nnunet_paseg.trainers.architectures import PLAIN, RESIDUAL, auxiliary_network, to_channels_last

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


@pytest.mark.parametrize(
    ("dimensions", "layout"), [(2, torch.channels_last), (3, torch.channels_last_3d)], ids=["2d", "3d"]
)
def test_channels_come_last_on_a_cpu_and_the_output_stays(dimensions, layout):
    convolution, norm = ((nn.Conv2d, nn.InstanceNorm2d), (nn.Conv3d, nn.InstanceNorm3d))[dimensions - 2]
    plain = nn.Sequential(convolution(3, 4, 3), norm(4, affine=True), nn.LeakyReLU(), convolution(4, 2, 1)).eval()
    network = copy.deepcopy(plain)
    to_channels_last(network, torch.device("cpu"))
    assert network[0].weight.is_contiguous(memory_format=layout)
    assert not network[0].weight.is_contiguous()
    image = torch.randn(2, 3, *[8] * dimensions)
    with torch.no_grad():
        torch.testing.assert_close(network(image), plain(image))


def test_a_gpu_is_left_alone():
    network = nn.Conv3d(3, 4, 3)
    to_channels_last(network, torch.device("cuda"))
    assert network.weight.is_contiguous()


def test_all_networks_of_stage2(make_trainer):
    trainer = make_trainer(PASegStage2Trainer)
    trainer.initialize()
    for network in (trainer.network, trainer.auxiliary["network"], *trainer.teachers):
        kernels = [weight for weight in network.parameters() if weight.dim() == 5]
        assert kernels
        assert all(kernel.is_contiguous(memory_format=torch.channels_last_3d) for kernel in kernels)
