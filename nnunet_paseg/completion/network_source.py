"""Probabilities of the trained networks around the targets of all cases, as nnU-Net predicts the raw images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nnunet_paseg.completion.dataset import TrainingCase
from nnunet_paseg.completion.folder import CompletionFolder, problems_of, write_source
from nnunet_paseg.completion.networks import Networks
from nnunet_paseg.completion.targets import facts, measures, read_targets, window_around
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.writing import OutputError


def predict_targets(
    cases: Sequence[TrainingCase],
    folder: CompletionFolder,
    labels: dict[str, int],
    model: Path,
    *,
    device: str,
    num_processes: int,
) -> Iterator[tuple[TrainingCase, str | None]]:
    """Write the probabilities of the networks for the targets of all cases, and yield each with its problem.

    Args:
        cases: Cases with points, and with the folds that predict them.
        folder: Output folder.
        labels: Label by class name.
        model: Folder of the trained model.
        device: ``cuda``, ``cpu`` or ``mps``.
        num_processes: Number of processes that preprocess cases.

    Raises:
        PasegError: The networks cannot be used, or a process that preprocesses cases ended.
        OutputError: The folder cannot be written.
    """
    with tqdm(total=len(cases), desc="Predicting", unit="case", disable=not cases) as progress:
        for folds, grouped in groupby(sorted(cases, key=lambda case: case.folds), key=lambda case: case.folds):
            group = list(grouped)
            networks = Networks(model, folds, device, num_processes)
            try:
                for number, data, properties in networks.preprocessed([case.images for case in group]):
                    problem = None
                    try:
                        with problems_of(group[number].identifier, folder.path):
                            _write(group[number], folder, labels, networks.probabilities(data, properties))
                    except OutputError:
                        raise
                    except PasegError as error:
                        problem = str(error)
                    yield group[number], problem
                    progress.update()
            except PasegError:
                raise
            except Exception as error:  # whatever nnU-Net raises, or a process that was killed
                raise PasegError(
                    f"nnU-Net cannot preprocess the cases ({type(error).__name__}: {error}): run the same command "
                    "again with -np 1. Finished cases are kept."
                ) from error


def _write(case: TrainingCase, folder: CompletionFolder, labels: dict[str, int], probabilities: np.ndarray) -> None:
    grid, _, targets = read_targets(case, labels)
    if probabilities.shape[1:] != grid.shape:
        raise PasegError(f"{case.images[0]} has the shape {grid.shape}, the prediction {probabilities.shape[1:]}.")
    windows = [window_around(target, grid.shape) for target in targets]
    arrays = [
        np.rint(probabilities[target.label][window] * 255).astype(np.uint8)
        for target, window in zip(targets, windows, strict=True)
    ]
    found = measures(targets, windows, arrays)
    path = folder.source(case.identifier, "network")
    write_source(path, arrays, facts(case.state(), folder.options, targets, found))
