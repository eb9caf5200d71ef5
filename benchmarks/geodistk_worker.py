"""Run and time GeodisTK on one volume; started by geodistk.py in an interpreter that can import GeodisTK.

Usage: python geodistk_worker.py VOLUME.npz RESULT.npz ITERATIONS...
"""

import sys
import time
from typing import Any

import GeodisTK
import numpy as np


def main(volume: str, result: str, *iterations: str) -> None:
    """Read the volume, and write distances and seconds for each number of iterations."""
    with np.load(volume) as stored:
        image, seeds, spacing, weight = stored["image"], stored["seeds"], stored["spacing_mm"], float(stored["weight"])
    arrays: dict[str, Any] = {}
    for count in iterations:
        start = time.process_time()
        distance = GeodisTK.geodesic3d_raster_scan(image, seeds, spacing.tolist(), weight, int(count))
        arrays[f"seconds_{count}"] = time.process_time() - start
        arrays[f"distance_{count}"] = distance
    np.savez(result, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
