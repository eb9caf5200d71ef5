"""The workspace of the benchmark's trainings, in which nnU-Net finds the benchmark's trainers too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy.source import revision
from nnunet_paseg.nnunet.workspace import Workspace

TRAINERS = Path(__file__).resolve().parent / "ext"
"""Folder of the benchmark's trainers."""


@dataclass(frozen=True)
class BenchmarkWorkspace(Workspace):
    """A workspace for runs of the accuracy benchmark.

    Attributes:
        geodistk_python: Interpreter that can import GeodisTK, for the published seeds.
    """

    geodistk_python: str | None = None

    def environment(self) -> dict[str, str]:
        """Return nnU-Net's environment variables, the folder of the benchmark's trainers and the revision they log."""
        return {**super().environment(), "nnUNet_extTrainer": str(TRAINERS), "BENCHMARK_REVISION": revision()}
