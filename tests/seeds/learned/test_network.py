import torch

from nnunet_paseg.seeds.learned.inputs import CHANNELS
from nnunet_paseg.seeds.learned.network import ExpansionNetwork


def network() -> ExpansionNetwork:
    torch.manual_seed(0)
    return ExpansionNetwork((8, 8, 16, 16)).eval()


def maps(channels: int) -> torch.Tensor:
    return torch.randn(2, channels, CHANNELS, 16, 16, 16, generator=torch.Generator().manual_seed(channels))


@torch.inference_mode()
def test_any_number_of_channels() -> None:
    for channels in (1, 2, 5):
        assert network()(maps(channels)).shape == (2, 1, 16, 16, 16)


@torch.inference_mode()
def test_the_order_of_channels_does_not_matter() -> None:
    x = maps(3)
    assert torch.allclose(network()(x), network()(x[:, [2, 0, 1]]), atol=1e-5)


@torch.inference_mode()
def test_a_channel_twice_is_as_good_as_once() -> None:
    x = maps(1)
    assert torch.allclose(network()(x), network()(x.repeat(1, 2, 1, 1, 1, 1)), atol=1e-5)


def test_every_weight_is_trained() -> None:
    net = network().train()
    net(maps(2)).square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.parameters())
