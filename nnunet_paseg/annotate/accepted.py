"""Accepted masks: what the annotator has looked at, and the points that they were made of."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import sha256, write_json
from nnunet_paseg.io.geometry import Geometry
from nnunet_paseg.io.writing import write_bytes_image

RECORDS = "accepted"
"""Folder of the records. Conversion and 3D Slicer see only the masks."""


@dataclass(frozen=True)
class AcceptedMasks:
    """Folder of masks, ``CASE.nii.gz``, each with a record.

    Attributes:
        folder: Folder, made when the first mask is accepted.
    """

    folder: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def mask(self, case: str) -> Path:
        """Return the file of a case's mask."""
        return self.folder / f"{case}.nii.gz"

    def write(self, case: str, labels: npt.NDArray[np.uint8], geometry: Geometry, version: str) -> None:
        """Write the mask of a case.

        Args:
            case: Case identifier.
            labels: Label map (z, y, x).
            geometry: Geometry of the image.
            version: Version of the points that the mask is made of.

        Raises:
            PasegError: There is a mask that this class has not written, or that was changed since.
        """
        path = self.mask(case)
        with self._lock:
            if path.exists() and self._record(case).get("sha256") != sha256([path]):
                raise PasegError(f"{path} was made or changed by another program: move it elsewhere to accept again.")
            (self.folder / RECORDS).mkdir(parents=True, exist_ok=True)
            write_bytes_image(labels, geometry, path)
            write_json({"points": version, "sha256": sha256([path])}, self._record_path(case))

    def is_current(self, case: str, version: str) -> bool:
        """Return whether the mask of a case is accepted, and made of these points."""
        return self.mask(case).exists() and self._record(case).get("points") == version

    def withdraw(self, case: str, version: str) -> None:
        """Remove the mask of a case if its points have changed. A mask that another program has changed is kept."""
        path = self.mask(case)
        with self._lock:
            record = self._record(case)
            if record and record.get("points") != version:
                if path.exists() and record.get("sha256") == sha256([path]):
                    path.unlink()
                self._record_path(case).unlink(missing_ok=True)

    def _record_path(self, case: str) -> Path:
        return self.folder / RECORDS / f"{case}.json"

    def _record(self, case: str) -> dict[str, Any]:
        try:
            content = json.loads(self._record_path(case).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}
