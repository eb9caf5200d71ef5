"""The mask of one target in its box, by whatever tool."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class TargetMask(NamedTuple):
    """The mask of one target in its box.

    Attributes:
        probability: Probability (z, y, x) of the voxels in the box. The mask is where it is above one half.
        confidence: Value between 0 and 1, by which the contact sheet is sorted.
        problems: Messages, empty if the mask fits the clicks.
    """

    probability: npt.NDArray[np.float32]
    confidence: float
    problems: list[str]
