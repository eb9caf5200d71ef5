import hashlib
from pathlib import Path

import pytest
import torch

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
