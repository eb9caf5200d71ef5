"""Location of the wrong voxels in the accuracy benchmark's predictions: near the surface or far from it.

Example:
    python benchmarks/errors.py FOLDER ...
Every FOLDER is a workspace of `python -m benchmarks.accuracy`. Every finished run in it becomes a row of errors.md.
The rows of other runs are kept.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from tqdm import tqdm

from nnunet_paseg.evaluation.metrics import dice
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.grid import Grid

RESULTS = Path(__file__).resolve().parent / "results"
NEAR_MM = 2.0
HEAD = (
    f"| run | Dice | volume ratio (predicted / reference) | false positives ≤ {NEAR_MM:g} mm | "
    f"false positives > {NEAR_MM:g} mm | false negatives ≤ {NEAR_MM:g} mm | false negatives > {NEAR_MM:g} mm | "
    "worst cases |"
)


@dataclass(frozen=True)
class Errors:
    """Errors of one class of one case.

    Attributes:
        case: Case identifier.
        dice: Dice.
        volume: Volume ratio (predicted / reference).
        parts: Fractions of the reference volume: false positives near the reference surface and far from it, then
            false negatives near and far.
    """

    case: str
    dice: float
    volume: float
    parts: tuple[float, ...]


def errors(
    prediction: npt.NDArray[np.bool_],
    reference: npt.NDArray[np.bool_],
    spacing_mm: tuple[float, ...],
    case: str = "",
) -> Errors:
    """Return the errors of a mask; near means within :data:`NEAR_MM` of a voxel on the other side of the surface.

    Args:
        prediction: Predicted mask (z, y, x).
        reference: Reference mask (z, y, x).
        spacing_mm: Spacing (z, y, x).
        case: Case identifier.
    """
    outside = ndimage.distance_transform_edt(~reference, sampling=spacing_mm)
    inside = ndimage.distance_transform_edt(reference, sampling=spacing_mm)
    false, missing = prediction & ~reference, reference & ~prediction
    counts = [
        (false & (outside <= NEAR_MM)).sum(),
        (false & (outside > NEAR_MM)).sum(),
        (missing & (inside <= NEAR_MM)).sum(),
        (missing & (inside > NEAR_MM)).sum(),
    ]
    size = int(reference.sum())
    parts = tuple(float(count) / size for count in counts)
    return Errors(case, dice(prediction, reference), float(prediction.sum()) / size, parts)


def errors_of_case(predictions: Path, file: Path) -> list[Errors]:
    """Return the errors of every class in a reference file."""
    reference, prediction = read_array(file), read_array(predictions / file.name)
    spacing, case = Grid.from_file(file).spacing_mm, file.name.removesuffix(".nii.gz")
    return [errors(prediction == label, reference == label, spacing, case) for label in np.unique(reference) if label]


def line(run: str, found: list[Errors]) -> str:
    """Return a row of the table: means over cases and classes, and the three cases with the smallest Dice."""
    parts = np.mean([each.parts for each in found], axis=0)
    shares = " | ".join(f"{part / parts.sum():.2f}" if parts.any() else "" for part in parts)
    worst = ", ".join(f"{each.case} {each.dice:.2f}" for each in sorted(found, key=lambda each: each.dice)[:3])
    mean = np.mean([each.dice for each in found])
    return f"| {run} | {mean:.3f} | {np.mean([each.volume for each in found]):.2f} | {shares} | {worst} |"


def find_masks(workspace: Path, record: Path) -> tuple[Path, list[Path]]:
    """Return the folder of a finished run's predictions, and the masks of its test cases.

    Raises:
        FileNotFoundError: A prediction or the masks are missing.
    """
    dataset = json.loads(record.read_text(encoding="utf-8"))["dataset"]
    predictions = workspace / "predictions" / record.stem
    labels = workspace / "nnUNet_raw" / dataset / "labelsTs"
    references = sorted(labels.glob("*.nii.gz"))
    gone = [predictions / mask.name for mask in references if not (predictions / mask.name).exists()]
    if gone or not references:
        what = gone[0] if gone else labels
        raise FileNotFoundError(f"{what} is missing: delete {record} and run `python -m benchmarks.accuracy` again.")
    return predictions, references


def kept_lines(file: Path) -> dict[str, str]:
    """Return the rows of an earlier table, by run."""
    if not file.exists():
        return {}
    table = [row for row in file.read_text(encoding="utf-8").splitlines() if row.startswith("| ")]
    return {row.split(" | ")[0].removeprefix("| "): row for row in table[1:]}


def main() -> None:
    """Write errors.md from the workspaces' runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, nargs="+", help="folder of the accuracy benchmark")
    parser.add_argument("--num-processes", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    arguments = parser.parse_args()
    runs: dict[str, tuple[Path, list[Path]]] = {}
    for workspace in arguments.workspace:
        records = sorted((workspace / "cells").glob("*.json"))
        if not records:
            parser.error(f"{workspace} contains no finished run: run `python -m benchmarks.accuracy` into it first")
        try:
            here = {record.stem: find_masks(workspace, record) for record in records}
        except FileNotFoundError as error:
            parser.error(str(error))
        if twice := here.keys() & runs.keys():
            name = min(twice)
            other = runs[name][0].parents[1]
            parser.error(f"{other} and {workspace} both contain {name}: pass only one of them")
        runs |= here
    lines = kept_lines(arguments.output / "errors.md")
    for name, (predictions, references) in tqdm(runs.items(), unit="run"):
        with ProcessPoolExecutor(arguments.num_processes) as pool:
            found = pool.map(partial(errors_of_case, predictions), references)
            lines[name] = line(name, [each for case in found for each in case])
    notes = "False positives and false negatives are fractions of all wrong voxels, near the reference surface and far."
    text = "\n".join([HEAD, "|---" * 8 + "|", *(lines[name] for name in sorted(lines)), "", notes, ""])
    arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_output(arguments.output / "errors.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
