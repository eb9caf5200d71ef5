"""Weights of the expansion network: those of the package, or a file from `paseg train-expander`."""

from __future__ import annotations

import functools
import hashlib
import io
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import torch

from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.learned.layout import Layout
from nnunet_paseg.seeds.learned.network import ExpansionNetwork

SHIPPED = "expander.pt"


@dataclass(frozen=True, eq=False)
class Expander:
    """Trained expansion network.

    Attributes:
        network: Network in float32, in evaluation mode.
        layout: Canonical grid on which it works.
        sha256: SHA-256 of the file of its weights.
    """

    network: ExpansionNetwork
    layout: Layout
    sha256: str


def load_expander(path: Path | None = None) -> Expander:
    """Return the network of a file, or of the package if there is none.

    Raises:
        PasegError: The file cannot be read, or contains no weights of an expansion network, or weights that are not
            finite.
    """
    return _load(path)


@functools.lru_cache(maxsize=2)
def _load(path: Path | None) -> Expander:
    data = _read(path)
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        layout = Layout(**content["layout"])
        network = ExpansionNetwork(content["features"])
        network.load_state_dict({name: tensor.float() for name, tensor in content["weights"].items()})
    except Exception as error:  # whatever PyTorch raises for a file that is damaged or of something else
        raise PasegError(
            f"{path or SHIPPED} contains no weights of an expansion network: pass the file that "
            "`paseg train-expander` has written."
        ) from error
    if not all(weight.isfinite().all() for weight in network.parameters()):
        raise PasegError(f"{path or SHIPPED} contains weights that are not finite: train the network again.")
    return Expander(network.eval().requires_grad_(False), layout, hashlib.sha256(data).hexdigest())


def shipped_sha256() -> str:
    """Return the SHA-256 of the weights of the package."""
    return hashlib.sha256(_read(None)).hexdigest()


def _read(path: Path | None) -> bytes:
    if path is None:
        return resources.files(__package__).joinpath(SHIPPED).read_bytes()
    try:
        return path.read_bytes()
    except OSError as error:
        raise PasegError(f"{path} cannot be read ({error.strerror}): pass a file of weights.") from error


def weights_bytes(network: ExpansionNetwork, layout: Layout) -> bytes:
    """Return the content of a file of weights, in half precision."""
    buffer = io.BytesIO()
    weights = {name: tensor.detach().cpu().half() for name, tensor in network.state_dict().items()}
    torch.save({"layout": asdict(layout), "features": list(network.features), "weights": weights}, buffer)
    return buffer.getvalue()
