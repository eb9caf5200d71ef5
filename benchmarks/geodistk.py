"""GeodisTK's raster scans, run in an interpreter of their own, since GeodisTK needs numpy < 2."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.errors import PasegError

WORKER = Path(__file__).with_name("geodistk_worker.py")
INSTALL = (
    "pass --geodistk-python with an interpreter that can import GeodisTK. To install it: "
    'pip install "numpy<2" setuptools wheel; pip install --no-build-isolation GeodisTK'
)


def raster_scans(
    python: str,
    image: npt.NDArray[np.float32],
    seeds: npt.NDArray[Any],
    *,
    spacing_mm: Sequence[float],
    weight: float,
    iterations: Sequence[int],
) -> dict[str, npt.NDArray[Any]]:
    """Run GeodisTK once per number of iterations.

    Args:
        python: Interpreter that can import GeodisTK.
        image: Intensities (z, y, x) or (z, y, x, c).
        seeds: Mask (z, y, x).
        spacing_mm: Spacing (z, y, x).
        weight: Weight of the intensities.
        iterations: Numbers of raster scans.

    Returns:
        Distances (z, y, x) as ``distance_{n}`` and CPU time as ``seconds_{n}`` for every number n.

    Raises:
        PasegError: The interpreter is missing, or GeodisTK failed in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        volume, result = Path(folder, "volume.npz"), Path(folder, "result.npz")
        np.savez(volume, image=image, seeds=np.asarray(seeds, np.uint8), spacing_mm=spacing_mm, weight=weight)
        # Without the environment's Python path, which contains the stand-in for GeodisTK during a conversion.
        command = [python, "-E", str(WORKER), str(volume), str(result), *map(str, iterations)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
        except OSError as error:
            raise PasegError(f"{python} cannot be run ({error.strerror}): {INSTALL}") from error
        if done.returncode:
            raise PasegError(f"GeodisTK failed in {python} ({done.stderr.strip()}): {INSTALL}")
        with np.load(result) as stored:
            return dict(stored)
