"""The cells of the grid, and how much computing each may have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.accuracy.grid import TASKS


@dataclass(frozen=True)
class Preset:
    """How much computing a cell may have.

    Attributes:
        device: of nnU-Net's commands.
        epochs: of every training, or None for the task's.
        iterations: an epoch, of nnU-Net's batch size.
        features: of the network's first stage, or None for nnU-Net's own plans.
        own_spacing: leave the spacing to nnU-Net, whatever the task says.
        mirroring: predict with nnU-Net's test-time mirroring.
        num_processes: that nnU-Net may use.
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
    """One training to run and score; ``weight_seed`` 0 leaves the networks' random start to nnU-Net."""

    task: str
    method: str
    point_seed: int
    epochs: int
    iterations: int
    weight_seed: int = 0
    preset: str = "cpu"

    @property
    def suffix(self) -> str:
        """What every trainer's name ends in."""
        mirroring = "" if TASKS[self.task].mirroring else "_nomirroring"
        seed = f"_seed{self.weight_seed}" if self.weight_seed else ""
        return f"{mirroring}_{self.epochs}epochs_{self.iterations}iterations{seed}"

    @property
    def name(self) -> str:
        """Of its prediction and of its record."""
        other = "" if self.preset == "cpu" else f"_{self.preset}"
        return f"{self.task}_{self.method}_{self.point_seed}{self.suffix}{other}"


def runs(
    tasks: Sequence[str],
    methods: Sequence[str],
    point_seeds: Sequence[int],
    weight_seeds: Sequence[int] = (0,),
    *,
    preset: str = "cpu",
    epochs: int | None = None,
    iterations: int | None = None,
) -> Iterator[Run]:
    """The cells in the order to run them; all dense masks know no point seed, and are trained on once."""
    chosen = PRESETS[preset]
    for task in tasks:
        length = (epochs or chosen.epochs or TASKS[task].epochs, iterations or chosen.iterations)
        for weight_seed in weight_seeds:
            for point_seed in point_seeds:
                for method in methods:
                    if method != "dense":
                        yield Run(task, method, point_seed, *length, weight_seed, preset)
                    elif point_seed == point_seeds[0]:
                        yield Run(task, method, 0, *length, weight_seed, preset)
