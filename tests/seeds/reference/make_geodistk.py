"""Write geodistk.npz: small anisotropic volumes and the distances GeodisTK gives them at convergence.

Run it in an environment that has GeodisTK 0.1.7, which has no wheel:

    pip install "numpy<2" setuptools wheel
    pip install --no-build-isolation GeodisTK
    python tests/reference/make_geodistk.py
"""

from pathlib import Path

import GeodisTK
import numpy as np

SPACING_MM = (3.0, 0.7, 1.2)
# Name, shape with channels last, weight.
CASES = (("one_channel", (10, 15, 13), 0.5), ("weight_1", (8, 12, 9), 1.0), ("three_channels", (9, 11, 12, 3), 0.3))


def converged(image: np.ndarray, seeds: np.ndarray, weight: float) -> np.ndarray:
    """Raster scans, doubled until more of them change nothing."""
    iterations, previous = 16, None
    while True:
        distance = GeodisTK.geodesic3d_raster_scan(image, seeds, list(SPACING_MM), weight, iterations)
        if previous is not None and np.array_equal(distance, previous):
            return distance
        iterations, previous = 2 * iterations, distance


def main() -> None:
    rng = np.random.default_rng(20230508)
    arrays = {"spacing_mm": np.array(SPACING_MM)}
    for name, shape, weight in CASES:
        image = rng.integers(-200, 800, shape).astype(np.int16)
        seeds = np.zeros(shape[:3], np.uint8)
        seeds[2, 3, 4] = seeds[6, 9, 5] = 1
        distance = converged(image.astype(np.float32), seeds, weight)
        image = image if image.ndim == 3 else np.moveaxis(image, -1, 0)
        arrays |= {f"{name}.image": image, f"{name}.seeds": seeds.astype(bool), f"{name}.weight": np.float64(weight)}
        arrays[f"{name}.distance"] = distance.astype(np.float32)
    np.savez_compressed(Path(__file__).with_name("geodistk.npz"), **arrays)


if __name__ == "__main__":
    main()
