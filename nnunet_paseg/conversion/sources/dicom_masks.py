"""Masks stored as contours: RT structure sets, and contours as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.conversion.sources.contours import rasterise
from nnunet_paseg.conversion.sources.dicom import DicomSeries, Structure, read_structures
from nnunet_paseg.conversion.sources.images import InOneFile
from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.grid import Grid


@dataclass(frozen=True)
class ContourMask(InOneFile):
    """One structure of a file of contours, on the grid of its image.

    Attributes:
        path: RT structure set, or a ``.json`` file: a list of objects with ``structure_name`` and
            ``LPS_contour_points`` (contours of points in world LPS millimetres).
        image: Image that the contours were drawn on.
        pattern: Regular expression of the structure's name. The first match in the file is used.
    """

    image: DicomSeries
    pattern: str

    def grid(self) -> Grid:
        return self.image.grid()

    def check(self) -> None:
        self._structure()

    def read(self) -> sitk.Image:
        structure, reference = self._structure(), self.image.read()
        try:
            mask = sitk.GetImageFromArray(rasterise(structure.contours, self.grid()))
        except PasegError as error:
            raise PasegError(f"{self.path}, structure '{structure.name}': {error}") from error
        mask.CopyInformation(reference)
        return mask

    def _structure(self) -> Structure:
        structures = read_json(self.path) if self.path.suffix == ".json" else read_structures(self.path)[1]
        return choose(structures, self.pattern, self.path)


def read_json(path: Path) -> list[Structure]:
    """Read the structures of a file of contours as JSON.

    Raises:
        PasegError: The file contains something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [
            Structure(
                str(item["structure_name"]),
                tuple(np.asarray(contour, dtype=np.float64).reshape(-1, 3) for contour in item["LPS_contour_points"]),
            )
            for item in content
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PasegError(
            f"{path} contains no contours ({_short(error)}): expected a list of objects with 'structure_name' and "
            "'LPS_contour_points'."
        ) from error


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def choose(structures: Sequence[Structure], pattern: str, path: Path) -> Structure:
    """Return the first structure with contours whose whole name matches a pattern, ignoring case.

    Raises:
        PasegError: There is none.
    """
    for structure in structures:
        if structure.contours and re.fullmatch(pattern, structure.name.strip(), flags=re.IGNORECASE):
            return structure
    names = [structure.name for structure in structures]
    raise PasegError(f"{path} contains no contours of a structure called '{pattern}', only {names}: see --structure.")
