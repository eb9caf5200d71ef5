from copy import deepcopy

import pytest
import torch
from torch import nn

from nnunet_paseg.io.processor import ExactConv3d, make_exact


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dtype"),
    [
        ((2, 4, 4), 3, 1, torch.float32),
        ((4, 4, 1), (1, 3, 3), 2, torch.float32),
        ((3, 4, 4), 5, 1, torch.float32),
        ((3, 4, 4), 3, 2, torch.bfloat16),
        ((2, 4, 4), (1, 3, 3), 1, torch.bfloat16),
    ],
)
def test_a_kernel_longer_than_its_input_computes_in_float32(size, kernel, stride, dtype):
    torch.manual_seed(0)
    reference = nn.Conv3d(8, 16, kernel, stride, padding=[(k - 1) // 2 for k in nn.Conv3d(1, 1, kernel).kernel_size])
    image = torch.randn(2, 8, *size)
    exact = deepcopy(reference)
    make_exact(exact)
    assert type(exact) is ExactConv3d
    with torch.autocast("cpu", torch.bfloat16):
        output = exact(image)
    assert output.dtype == dtype
    expected = reference(image)
    torch.testing.assert_close(output.float(), expected, rtol=0.05, atol=0.05)
    signs = torch.randn(expected.shape).sign()
    expected.backward(signs)
    output.backward(signs.to(dtype))
    error = (exact.weight.grad - reference.weight.grad).abs().max() / reference.weight.grad.abs().max()
    assert error < (1e-5 if dtype == torch.float32 else 0.05)


def test_only_convolutions_in_3d_change():
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.Conv2d(1, 1, 3), nn.ConvTranspose3d(2, 2, 2), nn.InstanceNorm3d(2))
    weights = [parameter.data_ptr() for parameter in network.parameters()]
    make_exact(network)
    assert [type(module) for module in network] == [ExactConv3d, nn.Conv2d, nn.ConvTranspose3d, nn.InstanceNorm3d]
    assert [parameter.data_ptr() for parameter in network.parameters()] == weights
    copy = deepcopy(network)
    assert type(copy[0]) is ExactConv3d
    make_exact(copy)
    assert type(copy[0]) is ExactConv3d
