"""nnU-Net's three folders below one folder, and its commands run in them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nnunet_paseg import EXT_FOLDER
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output, write_json


@dataclass(frozen=True)
class Workspace:
    """nnUNet_raw, nnUNet_preprocessed and nnUNet_results below one folder.

    Attributes:
        folder: Folder of the workspace, created when first needed.
        num_processes: Number of processes and threads that nnU-Net may use.
        device: Device of the training, ``cuda``, ``cpu`` or ``mps``.
    """

    folder: Path
    num_processes: int = 2
    device: str = "cpu"

    @property
    def raw(self) -> Path:
        return self.folder / "nnUNet_raw"

    @property
    def preprocessed(self) -> Path:
        return self.folder / "nnUNet_preprocessed"

    @property
    def results(self) -> Path:
        return self.folder / "nnUNet_results"

    def environment(self) -> dict[str, str]:
        """Return the environment variables of nnU-Net's commands."""
        # With few cores, loading in the training process is faster than loading in processes of its own.
        workers = "0" if self.num_processes <= 2 else str(self.num_processes // 2)
        return {
            "nnUNet_raw": str(self.raw),
            "nnUNet_preprocessed": str(self.preprocessed),
            "nnUNet_results": str(self.results),
            "nnUNet_extTrainer": str(EXT_FOLDER),
            "nnUNet_n_proc_DA": workers,
            "nnUNet_def_n_proc": str(self.num_processes),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    def run(self, *command: object, epochs: int | None = None, environment: Mapping[str, str] | None = None) -> None:
        """Run a command, print it, and write its output to ``logs/``.

        Args:
            command: Program and its arguments.
            epochs: Number of epochs of a training, for the progress bar.
            environment: Additional environment variables.

        Raises:
            PasegError: The command failed. The message ends with the end of its output.
        """
        words = [str(word) for word in command]
        for folder in (self.raw, self.preprocessed, self.results, self.folder / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        print(f"$ {shlex.join(words)}", flush=True)
        started = time.monotonic()
        log = self.folder / "logs" / f"{len(list((self.folder / 'logs').iterdir())):02d}_{Path(words[0]).name}.txt"
        variables = {**os.environ, **self.environment(), **(environment or {}), "PYTHONUNBUFFERED": "1"}
        popen = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=variables,
            encoding="utf-8",
        )
        bar = tqdm(total=epochs, unit="epoch", disable=epochs is None, leave=False)
        with log.open("w", encoding="utf-8") as output, bar, popen as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    output.write(line)
                    if epoch := re.search(r"Epoch (\d+)\s*$", line):
                        bar.update(int(epoch[1]) - bar.n)
            except BaseException:
                process.terminate()
                raise
            status = process.wait()
        if status:
            end = "".join(log.read_text(errors="replace", encoding="utf-8").splitlines(keepends=True)[-15:])
            raise PasegError(f"{words[0]} ended with status {status}; its output is in {log} and ends with:\n{end}")
        print(f"  {time.monotonic() - started:.0f} s", flush=True)

    def plan(
        self, dataset_id: int, configuration: str = "3d_fullres", *, spacing_mm: tuple[float, ...] | None = None
    ) -> str:
        """Plan and preprocess a dataset, unless that is done.

        Args:
            dataset_id: Number of the raw dataset.
            configuration: Configuration to preprocess.
            spacing_mm: Target spacing (z, y, x) in mm, None for that of nnU-Net.

        Returns:
            Name of the plans.
        """
        name = "nnUNetPlans" if spacing_mm is None else "nnUNetPlans_" + "x".join(f"{size:g}" for size in spacing_mm)
        done = self.preprocessed / f"{dataset_id}_{name}_{configuration}.done"
        if not done.exists():
            processes = ("-np", self.num_processes)
            check = "--verify_dataset_integrity"
            # The planner uses the number of loading processes as its number of threads, which cannot be 0.
            one = {"nnUNet_n_proc_DA": str(self.num_processes)}
            words = ["-d", dataset_id, "-c", configuration, check, *processes]
            if spacing_mm is not None:
                words += ["-overwrite_target_spacing", *spacing_mm, "-overwrite_plans_name", name]
            self.run("nnUNetv2_plan_and_preprocess", *words, environment=one)
            done.touch()
        return name

    def train(
        self,
        dataset: str,
        trainer: str,
        *,
        plans: str = "nnUNetPlans",
        configuration: str = "3d_fullres",
        fold: int | str = "all",
        epochs: int | None = None,
    ) -> Path:
        """Train, or resume a training, unless it is finished, and return the folder of the model."""
        model = self.results / dataset / f"{trainer}__{plans}__{configuration}"
        final = model / f"fold_{fold}" / "checkpoint_final.pth"
        if not final.exists():
            again = ["--c"] if list(final.parent.glob("checkpoint_*.pth")) else []
            options = ["-tr", trainer, "-p", plans, "-device", self.device, *again]
            self.run("nnUNetv2_train", dataset, configuration, fold, *options, epochs=epochs)
        return model

    def predict(
        self,
        dataset: str,
        trainer: str,
        output: Path,
        *,
        plans: str = "nnUNetPlans",
        configuration: str = "3d_fullres",
        fold: int | str = "all",
        mirroring: bool = True,
    ) -> Path:
        """Predict the dataset's imagesTs into ``output``, unless that folder exists."""
        if not output.exists():
            with atomic_output(output) as temporary:
                options = ["-d", dataset, "-c", configuration, "-f", fold, "-tr", trainer, "-p", plans]
                options += ["-device", self.device, "-npp", 1, "-nps", 1, *([] if mirroring else ["--disable_tta"])]
                self.run("nnUNetv2_predict", "-i", self.raw / dataset / "imagesTs", "-o", temporary, *options)
        return output

    def small_plans(
        self, dataset: str, name: str, *, features: int, batch_size: int = 2, source: str = "nnUNetPlans"
    ) -> str:
        """Write plans with a network for machines without GPU; they share the preprocessed data.

        Args:
            dataset: Name of a dataset that is planned and preprocessed.
            name: Name of the new plans.
            features: Number of features of the first stage, doubled per stage up to 320.
            batch_size: Batch size of every configuration with a network.
            source: Name of the plans to start from.

        Returns:
            Name of the new plans.
        """
        folder = self.preprocessed / dataset
        plans: dict[str, Any] = json.loads((folder / f"{source}.json").read_text(encoding="utf-8"))
        plans["plans_name"] = name
        for configuration in plans["configurations"].values():
            if "architecture" in configuration:
                network = configuration["architecture"]["arch_kwargs"]
                network["features_per_stage"] = [min(320, features * 2**i) for i in range(network["n_stages"])]
                configuration["batch_size"] = batch_size
        write_json(plans, folder / f"{name}.json")
        return name
