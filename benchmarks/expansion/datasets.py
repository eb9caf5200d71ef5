"""Targets of densely annotated datasets: the largest component of every label."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.expansion.clicks import simulate_draws
from benchmarks.expansion.halves import NAMES, case_identifiers, read_halves
from benchmarks.expansion.target import Target, cut_out, largest_component
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.grid import Grid

MIN_VOXELS = 60
"""Smallest target in voxels."""

KINDS: dict[str, dict[str, tuple[int, ...]]] = {
    "Dataset004_Hippocampus": {"hippocampus": (1, 2), "hippocampus, front": (1,), "hippocampus, back": (2,)},
    "Dataset050_LeftAtrium": {"atrium": (1,)},
    "Dataset060_SoftTissueSarcoma": {"sarcoma, MRI": (1,)},
    "Dataset061_SarcomaPET": {"sarcoma, PET": (1,)},
    "Dataset070_AbdomenMR": {"liver": (1,), "right kidney": (2,), "left kidney": (3,), "spleen": (4,)},
    "Dataset080_LowGradeGlioma": {"glioma": (1,)},
}
"""Labels of a target by its name, for each dataset. Other datasets have one target per class."""


def targets_of_case(folder: Path, case: str, draws: int) -> Iterator[Target]:
    """Yield the targets of one case of a dense dataset, with their clicks."""
    description = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    kinds = KINDS.get(folder.name) or {name: (label,) for name, label in description["labels"].items() if label}
    mask_file = folder / "labelsTr" / f"{case}.nii.gz"
    label_map, spacing = read_array(mask_file), Grid.from_file(mask_file).spacing_mm
    files = [folder / "imagesTr" / f"{case}_{int(channel):04d}.nii.gz" for channel in description["channel_names"]]
    channels = [read_array(file).astype(np.float32) for file in files]
    for kind, values in kinds.items():
        mask = largest_component(np.isin(label_map, values))
        if mask.sum() >= MIN_VOXELS:
            window = cut_out(mask)
            image = np.stack([channel[window] for channel in channels])
            target = Target(folder.name, kind, case, image, mask[window], spacing)
            yield simulate_draws(target, draws)


def load_targets(
    data: Path, half: str, *, draws: int = 3, limit: int | None = None, cache: Path | None = None
) -> list[Target]:
    """Return the targets of one half of all datasets in a folder.

    Args:
        data: Folder of dense datasets.
        half: ``"choose"`` or ``"report"``.
        draws: Number of times that the clicks of each target are simulated.
        limit: Maximum number of cases per dataset, evenly spread over the half; None for all.
        cache: File that keeps the targets, outside the repository. It is made if it is missing.

    Raises:
        PasegError: A dataset is not in the list of halves, there is none, or the cache contains other targets.
    """
    key = (str(data.resolve()), half, draws, limit)
    if cache is not None and cache.exists():
        with cache.open("rb") as file:
            kept, targets = pickle.load(file)
        if kept != key:
            raise PasegError(f"{cache} contains the targets of {kept}, not of {key}: delete it, or name another file.")
        return list(targets)
    chosen = chosen_cases(data, half, limit)
    targets = []
    for folder, case in tqdm(chosen, desc="targets", unit="case", disable=None):
        targets += targets_of_case(folder, case, draws)
    if cache is not None:
        with atomic_output(cache) as temporary, temporary.open("wb") as file:
            pickle.dump((key, targets), file)
    return targets


def chosen_cases(data: Path, half: str, limit: int | None) -> list[tuple[Path, str]]:
    """Return the datasets' folders and case identifiers of one half."""
    folders = sorted(file.parent for file in data.glob("*/dataset.json"))
    if not folders:
        raise PasegError(f"{data} contains no dataset: pass a folder of dense nnU-Net raw datasets.")
    halves, chosen = read_halves(), []
    for folder in folders:
        listed = halves.get(folder.name, {name: [] for name in NAMES})
        if unknown := set(case_identifiers(folder)) - {case for cases in listed.values() for case in cases}:
            raise PasegError(
                f"{folder} has cases without a half, such as {min(unknown)}: "
                "run `python -m benchmarks.expansion.halves DATA` before you look at any result."
            )
        present = [case for case in listed[half] if case in set(case_identifiers(folder))]
        chosen += [(folder, case) for case in spread(present, limit)]
    return chosen


def spread(cases: Sequence[str], limit: int | None) -> list[str]:
    """Return at most ``limit`` cases, evenly spread."""
    if limit is None or limit >= len(cases):
        return list(cases)
    return [cases[index * len(cases) // limit] for index in range(limit)]
