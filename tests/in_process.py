"""nnU-Net's commands in the process of the tests: the same entry points, without starting interpreters."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.pool import ThreadPool
from types import SimpleNamespace
from unittest import mock

import torch

from nnunet_paseg.nnunet.workspace import Workspace


class InProcessWorkspace(Workspace):
    """A workspace whose commands are called instead of started; nnU-Net's worker processes are threads."""

    def run(self, *command: object, epochs: int | None = None, environment: Mapping[str, str] | None = None) -> None:
        words = [str(word) for word in command]
        if words[0] == "nnUNetv2_predict":
            # Preprocessing and export one after the other, in this process too.
            pairs = zip(["", *words[:-1]], words, strict=True)
            words = ["0" if before in ("-npp", "-nps") else word for before, word in pairs]
        for folder in (self.raw, self.preprocessed, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        (entry,) = importlib.metadata.entry_points(group="console_scripts", name=words[0])
        threads = torch.get_num_threads()
        context = multiprocessing.get_context
        workers = SimpleNamespace(Pool=ThreadPool)
        with (
            mock.patch.dict(os.environ, {**self.environment(), **(environment or {})}),
            mock.patch.object(sys, "argv", words),
            mock.patch.object(
                multiprocessing, "get_context", lambda method=None: workers if method == "spawn" else context(method)
            ),
        ):
            try:
                entry.load()()
            finally:
                torch.set_num_threads(threads)
