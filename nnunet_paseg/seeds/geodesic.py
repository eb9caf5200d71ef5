"""Geodesic distance transform: shortest paths to a seed on the 26-neighbour voxel grid, exact at convergence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.plane_sweeps import shortest_paths

BACKENDS = ("torch", "geodistk")


def geodesic_distance(
    image: npt.NDArray[Any],
    seeds: npt.NDArray[np.bool_],
    *,
    spacing_mm: Sequence[float],
    weight: float = 0.5,
    backend: str = "torch",
    iterations: int = 4,
    device: str | torch.device = "cpu",
) -> npt.NDArray[np.float32]:
    """Return the distance of every voxel to the nearest seed, along the shortest path through the image.

    A step from voxel p to one of its 26 neighbours q costs

        ||p - q||_spacing / ((1 - w) + w / (|I(p) - I(q)| + 1e-5))

    so that ``weight=0`` is the length of the path in millimetres, and ``weight=1`` the sum of the intensity differences
    along it, each times the length of its step. With several channels |I(p) - I(q)| is the Euclidean norm over them.

    Args:
        image: Intensities ``(z, y, x)`` or ``(c, z, y, x)``, finite. A 2D image has one axis of length 1.
        seeds: Mask ``(z, y, x)``, true where the distance is 0; at least one voxel.
        spacing_mm: Spacing (z, y, x).
        weight: Weight w of the intensities, in [0, 1].
        backend: ``"torch"`` (exact) or ``"geodistk"`` (raster scans of the optional GeodisTK: approximate).
        iterations: Number of raster scans of ``"geodistk"``. ``"torch"`` always runs to convergence.
        device: Device of ``"torch"``, which keeps the cost of every step: about 150 bytes per voxel.

    Returns:
        Distances ``(z, y, x)``, float32.

    Raises:
        PasegError: There is no seed, shapes differ, a value is out of range, or GeodisTK is not installed.

    Example:
        >>> image = np.zeros((1, 1, 4))
        >>> seeds = np.array([[[True, False, False, False]]])
        >>> geodesic_distance(image, seeds, spacing_mm=(1.0, 1.0, 2.0), weight=0.0).tolist()
        [[[0.0, 2.0, 4.0, 6.0]]]

    Source: PA-Seg (Zhai et al., IEEE TMI 2023, arXiv 2208.05669), seed expansion; the cost is that of GeodisTK.
    """
    if backend not in BACKENDS:
        raise PasegError(f"Unknown backend {backend!r} of the geodesic distance: choose one of {', '.join(BACKENDS)}.")
    channels, marked = _checked(image, seeds, spacing_mm, weight)
    spacing = [float(size) for size in spacing_mm]
    if backend == "geodistk":
        return _raster_scans(channels, marked, spacing, float(weight), iterations)
    distance = shortest_paths(
        torch.from_numpy(channels).to(device), torch.from_numpy(marked).to(device), spacing_mm=spacing, weight=weight
    )
    return distance.cpu().numpy()


def _checked(
    image: npt.NDArray[Any], seeds: npt.NDArray[np.bool_], spacing_mm: Sequence[float], weight: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Check every input, and return contiguous copies: image ``(c, z, y, x)`` in float32, and seeds."""
    image, marked = np.asarray(image), np.array(seeds, dtype=bool, order="C")
    if image.ndim not in (3, 4):
        raise PasegError(f"The image must be (z, y, x) or (c, z, y, x), got shape {image.shape}.")
    channels = image if image.ndim == 4 else image[None]
    if channels.shape[0] == 0 or channels.shape[1:] != marked.shape:
        raise PasegError(
            f"Image and seeds must cover the same voxels, got image {image.shape} and seeds {marked.shape}."
        )
    if not marked.any():
        raise PasegError("There is no seed: mark at least one voxel as true.")
    if not 0.0 <= weight <= 1.0:
        raise PasegError(f"The weight must lie in [0, 1], got {weight}.")
    if np.shape(spacing_mm) != (3,) or not all(np.isfinite(size) and size > 0 for size in spacing_mm):
        raise PasegError(f"The spacing must be three positive numbers in mm (z, y, x), got {spacing_mm}.")
    with np.errstate(over="ignore"):
        channels = channels.astype(np.float32, order="C")
    if not np.isfinite(channels).all():
        raise PasegError("The image contains NaN or infinite values (as float32): replace them, e.g. by its minimum.")
    return channels, marked


def _raster_scans(
    channels: npt.NDArray[np.float32],
    seeds: npt.NDArray[np.bool_],
    spacing_mm: list[float],
    weight: float,
    iterations: int,
) -> npt.NDArray[np.float32]:
    """Approximate the same distance with GeodisTK: ``iterations`` forward and backward scans of the volume."""
    if iterations < 1:
        raise PasegError(f"GeodisTK needs at least one iteration, got {iterations}.")
    try:
        import GeodisTK
    except ImportError as error:
        raise PasegError(
            "The backend 'geodistk' needs GeodisTK, which cannot be imported. It has no wheel; install it with "
            '`pip install "numpy<2" setuptools wheel` and then `pip install --no-build-isolation GeodisTK`, '
            "or use the backend 'torch', which is exact and needs no installation."
        ) from error
    # GeodisTK expects channels last, and ignores the strides of arrays.
    volume = channels[0] if len(channels) == 1 else np.ascontiguousarray(np.moveaxis(channels, 0, -1))
    distance = GeodisTK.geodesic3d_raster_scan(volume, seeds.astype(np.uint8), spacing_mm, weight, iterations)
    return np.asarray(distance, dtype=np.float32)
