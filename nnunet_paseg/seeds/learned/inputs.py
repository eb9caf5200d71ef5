"""Inputs of the expansion network: the image around a target and the maps of its clicks, on the canonical grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nnunet_paseg.seeds.learned.geodesics import geodesic_maps
from nnunet_paseg.seeds.learned.layout import FloatArray, Layout

OUTER_WIDTH, INNER_WIDTH = 1.5, 2.0
"""Standard deviation of the Gaussian at a background and at a foreground point, in voxels of a cube of 40."""

DEPTH = 5.0
"""Largest depth below the faces of the box that the network distinguishes, in voxels of the image."""

CHANNELS = 7
"""Input maps per image channel.

Intensities, difference from the foreground points, both kinds of points, depth, two geodesic distances.
"""


def network_input(
    cubes: Sequence[FloatArray],
    *,
    foreground: npt.NDArray[np.floating],
    background: npt.NDArray[np.floating],
    edges: Sequence[float],
    open_faces: Sequence[tuple[bool, bool]],
    layout: Layout,
) -> FloatArray:
    """Return the input of the network for one target.

    Args:
        cubes: Intensities (size, size, size) of every image channel.
        foreground: Coordinates (n, 3) in the cube of the points in the target.
        background: Coordinates (m, 3) in the cube of the points outside the target and at its extreme points.
        edges: Edge lengths (z, y, x) of the box in voxels of the image.
        open_faces: Per axis, whether the lower and the upper face are the border of the image, where the target
            may continue.
        layout: Canonical grid.

    Returns:
        Maps (c, 7, size, size, size).
    """
    scale = layout.size / 40
    outer = gaussians(background, OUTER_WIDTH * scale, layout.size)
    inner = gaussians(foreground, INNER_WIDTH * scale, layout.size)
    depth = face_depth(edges, open_faces, layout)
    weights = gaussians(foreground, scale, layout.size, total=True)
    maps = []
    for cube in cubes:
        normal = normalised(cube)
        at_points = float((normal * weights).sum() / max(float(weights.sum()), 1e-6))
        geodesics = geodesic_maps(normal, foreground=foreground, background=background, context=layout.context)
        maps.append(np.stack([normal, np.clip(normal - at_points, -4, 4), outer, inner, depth, *geodesics]))
    return np.stack(maps).astype(np.float32)


def normalised(cube: FloatArray) -> FloatArray:
    """Return intensities with median 0, and 2 from the 5th to the 95th percentile, clipped at 4."""
    low, median, high = np.percentile(cube, [5, 50, 95])
    # A small target in a uniform image can be outside both percentiles.
    span = high - low if high > low else float(np.ptp(cube))
    if not span > 0:
        return np.zeros_like(cube)
    return np.clip((cube - median) * (2 / span), -4, 4).astype(np.float32)


def gaussians(points: npt.NDArray[np.floating], width: float, size: int, *, total: bool = False) -> FloatArray:
    """Return the maximum (or the ``total``) of Gaussians of height 1 at points (n, 3) of a cube."""
    result = np.zeros((size, size, size), dtype=np.float32)
    places = np.arange(size)
    for point in points:
        z, y, x = (np.exp(-((places - value) ** 2) / (2 * width**2)).astype(np.float32) for value in point)
        blob = z[:, None, None] * y[None, :, None] * x[None, None, :]
        result = result + blob if total else np.maximum(result, blob)
    return result


def face_depth(edges: Sequence[float], open_faces: Sequence[tuple[bool, bool]], layout: Layout) -> FloatArray:
    """Return the depth below the nearest face, negative outside the box, in units of :data:`DEPTH` voxels of the image.

    A face at the border of the image counts as far away. Clicks are a few voxels outside a target of any size, so
    that the network needs the depth in voxels to estimate the distance of the target from the faces.
    """
    places = (np.arange(layout.size) - layout.context + 0.5) / layout.inner
    axes = []
    for edge, (lower_open, upper_open) in zip(edges, open_faces, strict=True):
        lower = np.full(layout.size, DEPTH) if lower_open else places * edge
        upper = np.full(layout.size, DEPTH) if upper_open else (1 - places) * edge
        axes.append(np.clip(np.minimum(lower, upper) / DEPTH, -1, 1).astype(np.float32))
    z, y, x = axes
    return np.minimum(np.minimum(z[:, None, None], y[None, :, None]), x[None, None, :])
