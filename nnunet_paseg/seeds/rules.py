"""Seed rules for one target: by the probability of a network, adapted to box and image, and as published."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.instance import VoxelInstance
from nnunet_paseg.seeds.geodesic import geodesic_distance, shortest_path
from nnunet_paseg.seeds.learned.predict import target_probability
from nnunet_paseg.seeds.learned.weights import Expander, load_expander
from nnunet_paseg.seeds.likely_volume import likely_volume

Rule = Literal["learned", "adaptive", "paper"]

DEFAULTS: Mapping[Rule, Mapping[str, Any]] = {
    "learned": {"foreground_probability": 0.9, "background_probability": 0.1, "expander": None},
    "adaptive": {"threshold": 0.5, "background": 2.0, "weight": 0.5, "backend": "torch"},
    "paper": {"threshold": 0.2, "weight": 0.5, "backend": "torch"},
}
"""Parameters of every rule, with their default values."""

CONTRAST = 10.0
"""Factor of the normalised intensity in the geodesic distance: with a difference of 1 a step costs its length."""

TRUSTED_PATH = 0.8
"""Fraction of the shortest path to an extreme point that becomes foreground: its last part may leave the target."""

FLATTEST = 0.02
"""Square of the smallest half axis of the ellipsoid through the extreme points, in half edge lengths of the box."""


@dataclass(frozen=True)
class SeedParameters:
    """Parameters of the seed expansion.

    A parameter that is None gets the default of the rule. Parameters of a different rule stay None.

    Attributes:
        rule: ``learned`` (probabilities of a network that is trained on synthetic targets), ``adaptive`` (distances
            that are independent of the scanner's scale, the spacing and the size of the target, weighted by the shape
            of the box) or ``paper`` (PA-Seg, section III-A: raw intensities, mm).
        foreground_probability: Learned: voxels with a higher probability become foreground.
        background_probability: Learned: voxels with a lower probability become background; 0 for no background inside
            the boxes.
        expander: Learned: file of the network's weights. None for the weights of this package.
        expander_sha256: SHA-256 of these weights. Others are refused, unless it is None.
        threshold: Adaptive: the nearest voxels become foreground, up to this fraction of the target's estimated volume.
            Paper: all voxels nearer than this fraction of the largest distance.
        background: Adaptive: background starts at this multiple of the estimated volume; infinity for no background
            inside the boxes.
        weight: Adaptive and paper: weight of the intensity in the geodesic distance; 0 is Euclidean.
        backend: Adaptive and paper: ``"torch"`` (exact) or ``"geodistk"`` (raster scans as in the paper, if installed).

    Raises:
        PasegError: A value is out of range, or a parameter of a different rule is given.
    """

    rule: Rule = "learned"
    foreground_probability: float | None = None
    background_probability: float | None = None
    expander: Path | None = None
    expander_sha256: str | None = None
    threshold: float | None = None
    background: float | None = None
    weight: float | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        if self.rule not in DEFAULTS:
            raise PasegError(f"The seed rule is one of {', '.join(DEFAULTS)}: got {self.rule!r}.")
        for name in {name for defaults in DEFAULTS.values() for name in defaults}:
            if getattr(self, name) is not None and name not in DEFAULTS[self.rule]:
                rules = [rule for rule, defaults in DEFAULTS.items() if name in defaults]
                raise PasegError(
                    f"--{name.replace('_', '-')} has no effect on the seed rule {self.rule}: leave it out, or pass "
                    f"--seeds {' or '.join(rules)}."
                )
        for name, value in DEFAULTS[self.rule].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.rule == "learned":
            _check_probabilities(self.foreground_probability, self.background_probability)
        else:
            _check_threshold(self.threshold, self.background)

    def network(self) -> Expander:
        """Return the network of the learned rule.

        Raises:
            PasegError: Its file cannot be read, or contains other weights than the given SHA-256.
        """
        expander = load_expander(self.expander)
        if self.expander_sha256 not in (None, expander.sha256):
            raise PasegError(
                f"{self.expander or 'The file of weights'} was replaced during the conversion (SHA-256 "
                f"{expander.sha256[:12]}, not {str(self.expander_sha256)[:12]}): run the same command again."
            )
        return expander

    def with_sha256(self) -> SeedParameters:
        """Return these parameters with the SHA-256 of the network's weights, if the rule has a network.

        Raises:
            PasegError: The file of the weights cannot be read.
        """
        return replace(self, expander_sha256=self.network().sha256) if self.rule == "learned" else self

    def record(self) -> dict[str, Any]:
        """Return the rule and its parameters for the record of a dataset: of a network the SHA-256, not its file."""
        names = [name for name in DEFAULTS[self.rule] if name != "expander"]
        weights = {"expander_sha256": self.expander_sha256} if self.rule == "learned" else {}
        return {"rule": self.rule, **{name: getattr(self, name) for name in names}, **weights}


def _check_probabilities(foreground: Any, background: Any) -> None:
    if not 0 <= background <= foreground < 1:
        raise PasegError(
            "Seeds need probabilities with 0 <= --background-probability <= --foreground-probability < 1: got "
            f"{background} and {foreground}."
        )


def _check_threshold(threshold: Any, background: Any) -> None:
    if not 0 < threshold <= 1:
        raise PasegError(f"The seed threshold is a fraction, in (0, 1]: got {threshold}.")
    if background is not None and not background >= threshold:
        raise PasegError(
            f"Background must start beyond the foreground, at {threshold} times the estimated volume or more: "
            f"got {background} (infinity for no background inside the boxes)."
        )


class BoxSeeds(NamedTuple):
    """The seeds of one target in its box, each (z, y, x), and its volume.

    Attributes:
        relative: Order of the voxels. A voxel in several boxes goes to the target for which it is lowest: 1 - p with a
            network, number of nearer voxels as a fraction of the estimated volume (adaptive), or distance as a fraction
            of the largest distance (paper).
        foreground: Mask of the foreground seeds.
        background: Mask of the background seeds.
        volume: Estimated volume of the target in voxels; NaN with the rule of the paper.
        probability: Probability p of the network; None without one.
    """

    relative: npt.NDArray[np.float32]
    foreground: npt.NDArray[np.bool_]
    background: npt.NDArray[np.bool_]
    volume: float
    probability: npt.NDArray[np.float32] | None = None


def target_seeds(
    image: npt.NDArray[Any], instance: VoxelInstance, *, spacing_mm: Sequence[float], parameters: SeedParameters
) -> BoxSeeds:
    """Expand the points of one target in its box.

    Args:
        image: Intensities (c, z, y, x), of the whole image or of the voxels that the rule needs (see
            :func:`nnunet_paseg.seeds.expand.needed_window`).
        instance: Points on the voxels of the image.
        spacing_mm: Spacing (z, y, x).
        parameters: Parameters of the expansion.

    Returns:
        The seeds. Clicked voxels are no exception yet: they are labelled for all targets together.

    Raises:
        PasegError: The file of the network's weights cannot be read.
    """
    if parameters.rule == "learned":
        given: Any = parameters  # None are the parameters of other rules only
        p = target_probability(image, instance, parameters.network())
        foreground, background = p > given.foreground_probability, p < given.background_probability
        return BoxSeeds(1 - p, foreground, background, float(p.sum(dtype=np.float64)), p)
    z, y, x = instance.box
    start = np.array([side.start for side in instance.box])
    return box_seeds(
        image[:, z, y, x],
        instance.foreground - start,
        instance.extremes - start,
        spacing_mm=spacing_mm,
        parameters=parameters,
    )


def box_seeds(
    image: npt.NDArray[Any],
    points: npt.NDArray[np.integer],
    extremes: npt.NDArray[np.integer],
    *,
    spacing_mm: Sequence[float],
    parameters: SeedParameters,
) -> BoxSeeds:
    """Expand the foreground points of one target in its box by a rule of distances.

    Args:
        image: Intensities (c, z, y, x) in the box.
        points: Voxel indices (n, 3), (z, y, x), of the foreground points in the box.
        extremes: Voxel indices (k, 3), (z, y, x), of the extreme points in the box.
        spacing_mm: Spacing (z, y, x).
        parameters: Parameters of the expansion.

    Returns:
        The seeds, which always include the foreground points.
    """
    marked = np.zeros(image.shape[1:], dtype=bool)
    marked[tuple(points.T)] = True
    given: Any = parameters  # None are the parameters of other rules only
    weight, backend, threshold = given.weight, given.backend, given.threshold
    if parameters.rule == "paper":
        distance = geodesic_distance(image, marked, spacing_mm=spacing_mm, weight=weight, backend=backend)
        relative = (distance / max(float(distance.max()), 1e-12)).astype(np.float32)
        return BoxSeeds(relative, relative < threshold, np.zeros_like(marked), math.nan)
    shape: tuple[int, ...] = marked.shape
    image, edges = normalised(image), [1 / size for size in shape]
    contrast = CONTRAST * image
    distance = geodesic_distance(contrast, marked, spacing_mm=edges, weight=weight, backend=backend)
    sources = marked.copy()
    for extreme in extremes:
        path = shortest_path(distance, extreme)[::-1]
        sources[tuple(path[: max(1, round(TRUSTED_PATH * len(path)))].T)] = True
    distance = geodesic_distance(contrast, sources, spacing_mm=edges, weight=weight, backend=backend)
    straight = ndimage.distance_transform_edt(~sources, sampling=[2 * edge for edge in edges])
    distance *= radius_in_box(shape, extremes) + straight
    nearer = np.searchsorted(np.sort(distance, axis=None), distance)
    volume = likely_volume(image, distance, extremes)
    relative = (nearer / volume).astype(np.float32)
    return BoxSeeds(relative, (relative < threshold) | marked, (relative > given.background) & ~marked, volume)


def normalised(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Divide every channel (c, z, y, x) by its range, from the 10th to the 90th percentile, and clip at ten ranges."""
    values = image.astype(np.float64)
    low, high = np.percentile(values, [10, 90], axis=(1, 2, 3), keepdims=True)
    span = np.where(high > low, high - low, np.ptp(values, axis=(1, 2, 3), keepdims=True))
    with np.errstate(over="ignore"):  # a range of almost nothing
        values = (values - low) / np.where(span > 0, span, 1)
    return np.clip(values, -10, 10).astype(np.float32)


def radius_in_box(shape: Sequence[int], extremes: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Return the distance from the centre of a box, 1 on an ellipsoid that touches the faces where the target does.

    Without extreme points it is the inscribed ellipsoid of the box, and the corners are at sqrt(3). An oblique target
    touches opposite faces near opposite corners: the coordinates of its extreme points are correlated. With their
    correlations R about the centre, the ellipsoid is

        x' S^-1 x = 1,        S = det(R) I + (1 - det(R)) R,        x in half edge lengths

    det(R) is 1 without correlation and 0 for extreme points in one plane, so that chance correlations of six points
    have little effect.

    Args:
        shape: Shape (z, y, x) of the box.
        extremes: Voxel indices (k, 3), (z, y, x), in the box; fewer than six are ignored.
    """
    halves = np.asarray(shape) / 2
    matrix = np.eye(3)
    if len(extremes) >= 6:
        offsets = (extremes + 0.5) / halves - 1
        lengths = np.maximum(np.sqrt((offsets**2).sum(axis=0)), 1e-6)
        correlations = (offsets / lengths).T @ (offsets / lengths)
        np.fill_diagonal(correlations, 1)
        chance = max(FLATTEST, float(np.linalg.det(correlations)))
        matrix = chance * np.eye(3) + (1 - chance) * correlations
    lines = [(np.arange(size) + 0.5) / half - 1 for size, half in zip(shape, halves, strict=True)]
    axes, inverse = np.meshgrid(*lines, indexing="ij", sparse=True), np.linalg.inv(matrix)
    squared = sum(inverse[i, j] * axes[i] * axes[j] for i in range(3) for j in range(3))
    return np.sqrt(squared).astype(np.float32)
