"""Halves of the cases of each dataset: one to choose a design, one to report its figures.

The committed list was made before the first figure. Datasets that it contains stay as they are, others are added.

Example:
    python -m benchmarks.expansion.halves DATA
DATA contains dense nnU-Net raw datasets (imagesTr, labelsTr, dataset.json).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.expansion import HALVES
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import write_json
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.grid import FloatArray, Grid

Halves = dict[str, dict[str, list[str]]]

NAMES = ("choose", "report")
SEED = 0

SAME_PATIENTS = {"Dataset061_SarcomaPET": "Dataset060_SoftTissueSarcoma"}
"""Datasets whose patients are in another one too, under other identifiers: PET and MRI of one examination."""

NEAR_MM = 5.0
"""Distance of two target centres in world coordinates, below which two cases belong to one patient."""


def read_halves(file: Path = HALVES) -> Halves:
    """Return the case identifiers by dataset and half.

    Raises:
        PasegError: The file is missing.
    """
    if not file.exists():
        raise PasegError(f"{file} is missing: restore it, or run `python -m benchmarks.expansion.halves DATA`.")
    content: Halves = json.loads(file.read_text(encoding="utf-8"))
    return content


def halve(cases: Sequence[str], fixed: Mapping[str, str], rng: np.random.Generator) -> dict[str, list[str]]:
    """Deal cases to two halves of equal size, in a random order.

    Args:
        cases: Case identifiers.
        fixed: Half of the cases whose patient has a half already.
        rng: Random number generator.
    """
    halves: dict[str, list[str]] = {name: [case for case in cases if fixed.get(case) == name] for name in NAMES}
    for case in rng.permutation([case for case in cases if case not in fixed]).tolist():
        min((halves[name] for name in NAMES), key=len).append(case)
    return {name: sorted(halves[name]) for name in NAMES}


def target_centre(mask_file: Path) -> FloatArray:
    """Return the centre of all labelled voxels, world LPS millimetres (x, y, z)."""
    voxels = np.argwhere(read_array(mask_file) > 0)
    return Grid.from_file(mask_file).to_world(voxels.mean(axis=0))[0]


def matches(folder: Path, other: Path) -> dict[str, str]:
    """Return the case of the other dataset that belongs to the same patient, by case identifier."""
    centres = {case: target_centre(other / "labelsTr" / f"{case}.nii.gz") for case in case_identifiers(other)}
    found = {}
    for case in case_identifiers(folder):
        here = target_centre(folder / "labelsTr" / f"{case}.nii.gz")
        nearest = min(centres, key=lambda name: float(np.linalg.norm(centres[name] - here)))
        if np.linalg.norm(centres[nearest] - here) < NEAR_MM:
            found[case] = nearest
    return found


def case_identifiers(folder: Path) -> list[str]:
    """Return the case identifiers of a dense dataset."""
    return sorted(file.name.removesuffix(".nii.gz") for file in (folder / "labelsTr").glob("*.nii.gz"))


def make_halves(data: Path, known: Halves) -> Halves:
    """Return the halves of all datasets of a folder, in addition to the known ones.

    Raises:
        PasegError: The folder contains no dataset.
    """
    folders = sorted(file.parent for file in data.glob("*/dataset.json"))
    if not folders:
        raise PasegError(f"{data} contains no dataset: pass a folder of dense nnU-Net raw datasets.")
    halves = dict(known)
    for folder in folders:
        if folder.name in halves:
            continue
        fixed: dict[str, str] = {}
        other = data / SAME_PATIENTS.get(folder.name, "")
        if other.name in halves and other != data:
            half_of = {case: half for half, cases in halves[other.name].items() for case in cases}
            fixed = {case: half_of[match] for case, match in matches(folder, other).items()}
        halves[folder.name] = halve(case_identifiers(folder), fixed, np.random.default_rng(SEED))
    return halves


def main(argv: Sequence[str] | None = None) -> int:
    """Add the datasets of a folder to the list of halves, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.expansion.halves",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, help="folder of dense datasets")
    parser.add_argument("--output", type=Path, default=HALVES, help="list to extend (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        halves = make_halves(arguments.data, read_halves(arguments.output) if arguments.output.exists() else {})
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    write_json(halves, arguments.output)
    for dataset, parts in halves.items():
        print(dataset, ", ".join(f"{name}: {len(cases)}" for name, cases in parts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
