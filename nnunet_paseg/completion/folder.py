"""Output folder: masks of one model and one expansion network, never a mixture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.expansion.folder import MaskFolder
from nnunet_paseg.io.files import atomic_output, write_json
from nnunet_paseg.io.writing import OutputError, concerns_output

KEY = "paseg_complete"
"""Key of dataset.json by which a folder of completed masks is recognised."""

SOURCES = ("expansion", "network")
"""Sources of probabilities, in the order of their weights."""

MAX_REASON = 200
"""Longest text of an unexpected exception that a message quotes."""


@dataclass(frozen=True)
class CompletionFolder(MaskFolder):
    """Folder of completed masks.

    Attributes:
        description: Content of its dataset.json, with all options that change the masks.
    """

    description: Mapping[str, Any]

    def source(self, case: str, source: str) -> Path:
        """Return the file of the probabilities of one source around the targets of a case."""
        return self.path / "records" / source / f"{case}.npz"

    def files(self, case: str) -> list[Path]:
        """Return all files of a case."""
        return [self.record(case), self.views(case), self.mask(case), *(self.source(case, name) for name in SOURCES)]

    @property
    def options(self) -> str:
        """Hash of the options, which every file of a case contains."""
        return hashlib.sha256(json.dumps(self.description, sort_keys=True).encode()).hexdigest()

    def open(self, *, overwrite: bool) -> None:
        """Create the folder, or check that it can be continued.

        Args:
            overwrite: Whether masks of other options are made again.

        Raises:
            PasegError: The folder contains other files, or masks of other options.
        """
        found = self.existing(KEY)
        if found is not None and found != self.description and not overwrite:
            changed = [name for name, value in self.description[KEY].items() if found[KEY].get(name) != value]
            raise PasegError(
                f"{self.path} contains masks of a different {', '.join(changed) or 'dataset.json'}: name a new "
                "folder, or pass --overwrite to complete all cases again."
            )
        for source in SOURCES:
            (self.path / "records" / source).mkdir(parents=True, exist_ok=True)
        write_json(self.description, self.path / "dataset.json")


def write_source(path: Path, arrays: list[npt.NDArray[np.uint8]], facts: Mapping[str, Any]) -> None:
    """Write the probabilities of one source, one array per target, and facts about them, atomically."""
    with atomic_output(path) as temporary:
        named = {str(number): array for number, array in enumerate(arrays)}
        np.savez_compressed(temporary, facts=np.array(json.dumps(facts)), **named)  # type: ignore[arg-type]


def read_facts(path: Path) -> dict[str, Any]:
    """Return the facts in a file of :func:`write_source`, nothing if there is none or it is damaged."""
    try:
        with np.load(path) as arrays:
            content = json.loads(str(arrays["facts"]))
    except Exception:  # whatever NumPy raises for a damaged file, it is written again
        return {}
    return content if isinstance(content, dict) else {}


def read_source(path: Path) -> list[npt.NDArray[np.uint8]]:
    """Return the arrays in a file of :func:`write_source`."""
    with np.load(path) as arrays:
        return [arrays[str(number)] for number in range(len(arrays.files) - 1)]


@contextmanager
def problems_of(case: str, folder: Path) -> Iterator[None]:
    """Turn every error of one case into a PasegError that names the case, and one of the output into OutputError."""
    try:
        yield
    except OutputError:
        raise
    except PasegError as error:
        raise PasegError(f"Case {case}: {error}") from error
    except OSError as error:
        if concerns_output(error, folder):
            raise OutputError(f"{error.filename or folder}: {error.strerror}: make room there.") from error
        raise PasegError(f"Case {case}: {error}: copy or export the file again.") from error
    except Exception as error:  # whatever a library raises for a damaged file, it concerns this case alone
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:MAX_REASON]}"
        raise PasegError(f"Case {case}: it cannot be completed ({reason}): check its image and its points.") from error
