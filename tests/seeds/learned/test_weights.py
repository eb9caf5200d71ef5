import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.learned.layout import Layout
from nnunet_paseg.seeds.learned.network import ExpansionNetwork
from nnunet_paseg.seeds.learned.weights import load_expander, shipped_sha256, weights_bytes


def test_shipped_weights() -> None:
    expander = load_expander()
    assert expander.sha256 == shipped_sha256()
    assert expander.layout == Layout()
    assert not expander.network.training
    assert all(weight.dtype == torch.float32 and weight.isfinite().all() for weight in expander.network.parameters())
    assert load_expander() is expander


def test_shipped_weights_are_small() -> None:
    import nnunet_paseg.seeds.learned.weights as module

    assert Path(module.__file__).with_name(module.SHIPPED).stat().st_size < 6_000_000


def test_written_weights_are_read(tmp_path: Path) -> None:
    network, layout = ExpansionNetwork((8, 16)), Layout(16, 4)
    file = tmp_path / "own.pt"
    file.write_bytes(weights_bytes(network, layout))
    expander = load_expander(file)
    assert expander.layout == layout
    assert expander.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    for mine, read in zip(network.parameters(), expander.network.parameters(), strict=True):
        assert torch.equal(mine.half().float(), read)


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "own.pt"
    file.write_bytes(content)
    with pytest.raises(PasegError, match=r"own\.pt contains no weights of an expansion network: pass the file"):
        load_expander(file)


def test_checkpoints_of_other_networks_are_refused(tmp_path: Path) -> None:
    torch.save({"weights": {"a": torch.zeros(3)}}, tmp_path / "other.pt")
    with pytest.raises(PasegError, match="contains no weights of an expansion network"):
        load_expander(tmp_path / "other.pt")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PasegError, match=r"none\.pt cannot be read \(No such file"):
        load_expander(tmp_path / "none.pt")


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_damaged_weights_are_refused_whatever_pytorch_raises(tmp_path_factory, data) -> None:
    content = bytearray(weights_bytes(ExpansionNetwork((8,)), Layout(16, 4)))
    # The description in the archive, or any byte of it.
    first = content.index(b"layout") if data.draw(st.booleans()) else 0
    for place in data.draw(st.lists(st.integers(first, min(first + 400, len(content) - 1)), min_size=1, max_size=4)):
        content[place] ^= data.draw(st.integers(1, 255))
    file = tmp_path_factory.mktemp("weights") / "own.pt"
    file.write_bytes(content)
    try:
        expander = load_expander(file)
    except PasegError as error:
        message = str(error)
    else:
        assert all(weight.isfinite().all() for weight in expander.network.parameters())
        message = str(file)
    assert str(file) in message


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    """Half precision ends at 65,504."""
    network = ExpansionNetwork((8,))
    network.requires_grad_(False)
    network.logit.bias[0] = value
    (tmp_path / "own.pt").write_bytes(weights_bytes(network, Layout(16, 4)))
    with pytest.raises(PasegError, match=r"own\.pt contains weights that are not finite: train the network again"):
        load_expander(tmp_path / "own.pt")


def test_a_folder_is_no_file_of_weights(tmp_path: Path) -> None:
    with pytest.raises(PasegError, match=r"cannot be read \(Is a directory\): pass a file of weights"):
        load_expander(tmp_path)
