"""Plan of an expansion: classes, channels and the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nnunet_paseg
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.names import check_names
from nnunet_paseg.seeds.learned.weights import Expander, load_expander

KEY = "paseg_expand"
"""Key of dataset.json by which a folder of masks is recognised."""

MAX_CLASSES = 255
"""Labels are stored as bytes, one of which is background."""


@dataclass(frozen=True)
class ExpansionPlan:
    """Options of an expansion.

    Attributes:
        class_names: The K classes. Their labels are 1..K in this order.
        channel_names: One name per channel.
        expander: File of the network's weights; None for the weights of this package.
        sha256: SHA-256 of these weights; None without a network.
        probabilities: Whether the probabilities are written too.
        masks: Folder of masks of a different tool, which are written instead of those of the network.

    Raises:
        PasegError: Names are empty, class names are not distinct or no part of a file name, or there are too many.
    """

    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]
    expander: Path | None
    sha256: str | None
    probabilities: bool = False
    masks: Path | None = None

    def __post_init__(self) -> None:
        if self.masks is not None and (self.expander is not None or self.probabilities):
            raise PasegError("--expander and --probabilities have no effect on given masks: leave them out.")
        check_names(self.class_names, self.channel_names)
        if len(self.class_names) > MAX_CLASSES:
            raise PasegError(f"A label map has 1 to {MAX_CLASSES} classes, not {len(self.class_names)}.")
        if self.probabilities and (bad := [name for name in self.class_names if {"/", "\\", "\0"} & set(name)]):
            raise PasegError(f"The class {bad[0]!r} cannot be part of a file name: rename it.")

    @property
    def labels(self) -> dict[str, int]:
        """Label of every class."""
        return {name: label for label, name in enumerate(self.class_names, start=1)}

    def network(self) -> Expander:
        """Return the network.

        Raises:
            PasegError: Its file cannot be read, or was replaced after the start.
        """
        expander = load_expander(self.expander)
        if expander.sha256 != self.sha256:
            raise PasegError(f"{self.expander or 'The file of weights'} was replaced: run the same command again.")
        return expander

    def description(self) -> dict[str, Any]:
        """Return the content of dataset.json, which contains all options that change the files."""
        return {
            "channel_names": {str(number): name for number, name in enumerate(self.channel_names)},
            "labels": {"background": 0, **self.labels},
            "file_ending": ".nii.gz",
            KEY: {
                "version": nnunet_paseg.__version__,
                "expander_sha256": self.sha256,
                "probabilities": self.probabilities,
                **({} if self.masks is None else {"masks": "given"}),
            },
        }
