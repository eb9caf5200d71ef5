"""GeodisTK for a conversion whose interpreter cannot import it: the scans run in that of ``GEODISTK_PYTHON``.

The benchmark puts this folder on the path of the conversion, which imports the module under this name.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.geodistk import raster_scans


def geodesic3d_raster_scan(
    image: npt.NDArray[np.float32], seeds: npt.NDArray[Any], spacing: Sequence[float], weight: float, iterations: int
) -> npt.NDArray[Any]:
    """Return the distances after a number of raster scans; arguments as in GeodisTK."""
    python = os.environ["GEODISTK_PYTHON"]
    scans = raster_scans(python, image, seeds, spacing_mm=spacing, weight=weight, iterations=[iterations])
    return scans[f"distance_{iterations}"]
