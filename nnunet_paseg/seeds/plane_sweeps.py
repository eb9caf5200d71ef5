"""Shortest paths on the 26-neighbour voxel grid, by plane sweeps that run to convergence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch

# Part of the definition: keeps the cost of a step positive between two voxels of equal intensity.
EPSILON = 1e-5


def shortest_paths(
    image: torch.Tensor, seeds: torch.Tensor, *, spacing_mm: Sequence[float], weight: float
) -> torch.Tensor:
    """Return the cost of the shortest path from every voxel to a seed, see :mod:`nnunet_paseg.seeds.geodesic`.

    A sweep goes along an axis and back; each plane takes the minimum over the nine steps from the plane before it.
    The axes take turns until a sweep along each of them has changed nothing. Then no step can lower any value, which
    is the definition of the shortest path (Bellman). The result is exact up to float32 rounding.

    Args:
        image: Intensities ``(c, z, y, x)``, float32.
        seeds: Mask ``(z, y, x)``, on the image's device.
        spacing_mm: Spacing (z, y, x).
        weight: Weight of the intensities, in [0, 1].

    Returns:
        Costs ``(z, y, x)``, float32, on the image's device.
    """
    distance = image.new_full(seeds.shape, torch.inf)
    distance[seeds] = 0.0
    # Every step changes the index along some axis of more than one voxel: together these sweeps cover all 26.
    orders = [(axis, *(o for o in range(3) if o != axis)) for axis in range(3) if seeds.shape[axis] > 1]
    sweeps = [_AxisSweeps(image, order, spacing_mm, weight) for order in orders]
    unchanged = 0
    for sweep in itertools.cycle(sweeps):
        unchanged = 0 if sweep.relax(distance) else unchanged + 1
        if unchanged == len(sweeps):
            break
    return distance


class _AxisSweeps:
    """Sweeps along one axis, forward and backward, that update only planes whose predecessor has changed.

    ``order`` brings the axis to the front, so that every plane is contiguous. The planes have a rim of one voxel: a
    shifted plane is then a view, and the nine steps between two planes are one addition and one minimum.
    """

    def __init__(self, image: torch.Tensor, order: tuple[int, ...], spacing_mm: Sequence[float], weight: float) -> None:
        self.order = order
        image = image.permute(0, *(1 + axis for axis in order))
        n, h, w = image.shape[1:]
        rimmed = image.new_full((n, h + 2, w + 2), torch.inf)
        scattered = image.new_full((3, 3, h + 2, w + 2), torch.inf)
        row, slot = w + 2, (h + 2) * (w + 2)
        # All views are made once: on small volumes, making them would take as long as the arithmetic.
        self.costs = _step_costs(image, [spacing_mm[axis] for axis in order], weight).unbind()
        self.volume = rimmed[:, 1:-1, 1:-1]
        self.planes = self.volume.unbind()
        self.neighbours = [_neighbours(plane) for plane in rimmed]
        self.gathered = image.new_empty((3, 3, h, w))
        self.scattered = scattered[:, :, 1:-1, 1:-1]
        self.ends = scattered.as_strided((3, 3, h, w), (3 * slot + row, slot + 1, row, 1))
        # Planes that the last backward sweep has changed, and no forward sweep has used yet.
        self.pending = [False] * n

    def relax(self, distance: torch.Tensor) -> bool:
        """Lower ``distance`` in place, and return True if any voxel was lowered."""
        current = distance.permute(self.order).contiguous()
        others = [not torch.equal(mine, given) for mine, given in zip(self.planes, current.unbind(), strict=True)]
        self.volume.copy_(current)
        there = self._sweep(_either(others, self.pending), back=False)
        self.pending = self._sweep(_either(others, there), back=True)
        changed = any(there) or any(self.pending)
        if changed:
            distance.permute(self.order).copy_(self.volume)
        return changed

    def _sweep(self, sources: list[bool], *, back: bool) -> list[bool]:
        """Take the steps from the planes ``sources`` and from planes that change, and return the changed planes."""
        n = len(sources)
        changed = [False] * n
        for source in range(n - 1, 0, -1) if back else range(n - 1):
            if not (sources[source] or changed[source]):
                continue
            target = source - 1 if back else source + 1
            plane = self.planes[target]
            lowered = torch.minimum(plane, self._backward(source) if back else self._forward(source))
            if not torch.equal(lowered, plane):
                plane.copy_(lowered)
                changed[target] = True
        return changed

    def _forward(self, source: int) -> torch.Tensor:
        """Return the lowest cost from the plane ``source`` to every voxel of the plane after it."""
        return torch.add(self.neighbours[source], self.costs[source], out=self.gathered).amin((0, 1))

    def _backward(self, source: int) -> torch.Tensor:
        """Return the lowest cost from the plane ``source`` to every voxel of the plane before it.

        The same costs serve in both directions: here they are added at their own voxel p, and the sum is written to
        the end of the step. Steps out of the plane end in the rim or are never written, and stay infinite.
        """
        torch.add(self.planes[source], self.costs[source - 1], out=self.ends)
        return self.scattered.amin((0, 1))


def _step_costs(image: torch.Tensor, spacing_mm: Sequence[float], weight: float) -> torch.Tensor:
    """Return the costs ``(n - 1, 3, 3, h, w)`` of steps from voxel p of plane i + 1 to p + (a, b) - 1 of plane i."""
    n, h, w = image.shape[1:]
    shifts = torch.arange(-1, 2, dtype=image.dtype, device=image.device)
    across, along = shifts[:, None] * spacing_mm[1], shifts * spacing_mm[2]
    length = (spacing_mm[0] ** 2 + across**2 + along**2).sqrt()[..., None, None]
    planes = torch.nn.functional.pad(image, (1, 1, 1, 1))
    costs = image.new_empty((n - 1, 3, 3, h, w))
    # Plane by plane, so that intermediate results stay in the processor's cache.
    for i, cost in enumerate(costs):
        difference = _neighbours(planes[:, i]) - image[:, i + 1, None, None]
        norm = difference[0].abs_() if len(difference) == 1 else torch.linalg.vector_norm(difference, dim=0)
        torch.div(length, norm.add_(EPSILON).reciprocal_().mul_(weight).add_(1 - weight), out=cost)
    return costs


def _neighbours(plane: torch.Tensor) -> torch.Tensor:
    """Return a view ``(..., 3, 3, h, w)`` of a rimmed plane: entry (a, b, y, x) is its voxel (y + a, x + b)."""
    *lead, height, width = plane.shape
    *steps, row, column = plane.stride()
    return plane.as_strided((*lead, 3, 3, height - 2, width - 2), (*steps, row, column, row, column))


def _either(a: list[bool], b: list[bool]) -> list[bool]:
    return [x or y for x, y in zip(a, b, strict=True)]
