import copy

import pytest
import torch
from torch import nn

from nnunet_paseg.trainers import PASegStage2Trainer
from nnunet_paseg.trainers.memory_layout import lay_out


@pytest.mark.parametrize(
    ("dimensions", "layout"), [(2, torch.channels_last), (3, torch.channels_last_3d)], ids=["2d", "3d"]
)
def test_channels_come_last_on_a_cpu_and_the_output_stays(dimensions, layout):
    convolution, norm = ((nn.Conv2d, nn.InstanceNorm2d), (nn.Conv3d, nn.InstanceNorm3d))[dimensions - 2]
    plain = nn.Sequential(convolution(3, 4, 3), norm(4, affine=True), nn.LeakyReLU(), convolution(4, 2, 1)).eval()
    network = copy.deepcopy(plain)
    lay_out(network, torch.device("cpu"))
    assert network[0].weight.is_contiguous(memory_format=layout)
    assert not network[0].weight.is_contiguous()
    image = torch.randn(2, 3, *[8] * dimensions)
    with torch.no_grad():
        torch.testing.assert_close(network(image), plain(image))


def test_a_gpu_is_left_alone():
    network = nn.Conv3d(3, 4, 3)
    lay_out(network, torch.device("cuda"))
    assert network.weight.is_contiguous()


def test_all_networks_of_stage2(make_trainer):
    trainer = make_trainer(PASegStage2Trainer)
    trainer.initialize()
    for network in (trainer.network, trainer.auxiliary["network"], *trainer.teachers):
        kernels = [weight for weight in network.parameters() if weight.dim() == 5]
        assert kernels
        assert all(kernel.is_contiguous(memory_format=torch.channels_last_3d) for kernel in kernels)
