"""The runs of the grid, and the computing budget of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.accuracy.tasks import TASKS


@dataclass(frozen=True)
class Preset:
    """Computing budget of a run.

    Attributes:
        device: Device of nnU-Net's commands.
        epochs: Epochs per training, or None for the task's.
        iterations: Iterations per epoch, with nnU-Net's batch size.
        features: Features of the network's first stage, or None for nnU-Net's own plans.
        own_spacing: Whether nnU-Net chooses the spacing instead of the task.
        mirroring: Whether nnU-Net predicts with test-time mirroring.
        num_processes: Number of processes that nnU-Net may use.
    """

    device: str
    epochs: int | None
    iterations: int
    features: int | None
    own_spacing: bool
    mirroring: bool
    num_processes: int


PRESETS = {
    "cpu": Preset("cpu", None, 250, 8, own_spacing=False, mirroring=False, num_processes=2),
    "gpu": Preset("cuda", 1000, 250, None, own_spacing=True, mirroring=True, num_processes=8),
}


@dataclass(frozen=True)
class Run:
    """One training and its score; with ``weight_seed`` 0 the training is unseeded, as nnU-Net trains."""

    task: str
    method: str
    point_seed: int
    epochs: int
    iterations: int
    weight_seed: int = 0
    preset: str = "cpu"

    @property
    def suffix(self) -> str:
        """Suffix of every trainer's name."""
        mirroring = "" if TASKS[self.task].mirroring else "_nomirroring"
        seed = f"_seed{self.weight_seed}" if self.weight_seed else ""
        return f"{mirroring}_{self.epochs}epochs_{self.iterations}iterations{seed}"

    @property
    def name(self) -> str:
        """Name of the prediction folder and of the record."""
        other = "" if self.preset == "cpu" else f"_{self.preset}"
        return f"{self.task}_{self.method}_{self.point_seed}{self.suffix}{other}"


class Seeds(NamedTuple):
    """Seeds of one run: of the simulated points and of the training."""

    point: int
    weight: int


def repeats(number: int) -> list[Seeds]:
    """Return the seeds of repeated runs, which differ in the points and in the training."""
    return [Seeds(index, index + 1) for index in range(number)]


def runs(
    tasks: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[Seeds] = (Seeds(0, 0),),
    *,
    preset: str = "cpu",
    epochs: int | None = None,
    iterations: int | None = None,
) -> Iterator[Run]:
    """Yield the runs in order of execution; dense masks do not depend on the points and run once per training seed."""
    chosen = PRESETS[preset]
    for task in tasks:
        length = (epochs or chosen.epochs or TASKS[task].epochs, iterations or chosen.iterations)
        found = {
            Run(task, method, 0 if method == "dense" else point, *length, weight, preset): None
            for point, weight in seeds
            for method in methods
        }
        yield from found
