"""The workspace of the benchmark's trainings, in which nnU-Net finds the benchmark's trainers too."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy.source import ROOT, revision
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
        # The revision in the records is that of this repository, so its package precedes an installed one.
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        own = {"nnUNet_extTrainer": str(TRAINERS), "BENCHMARK_REVISION": revision(), "PYTHONPATH": path}
        return {**super().environment(), **own}
