"""Where the wrong voxels of the accuracy benchmark's predictions lie: at the boundary or far, false or missing.

Example:
    python benchmarks/errors.py FOLDER ...
Every FOLDER is a workspace of `python -m benchmarks.accuracy`; every finished cell in it becomes a line of errors.md,
where the lines of other cells stay.
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
    f"| cell | Dice | volume | false, up to {NEAR_MM:g} mm | false, farther | missing, up to {NEAR_MM:g} mm | "
    "missing, farther | worst |"
)


@dataclass(frozen=True)
class Errors:
    """One class of one case.

    Attributes:
        dice: overlap.
        volume: predicted, as a part of the true one.
        parts: voxels as parts of the true volume: false ones near the true surface and far from it, then missing ones.
    """

    case: str
    dice: float
    volume: float
    parts: tuple[float, ...]


def errors(
    prediction: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_],
    spacing_mm: tuple[float, ...],
    case: str = "",
) -> Errors:
    """Errors of a mask (z, y, x); near is up to :data:`NEAR_MM` from the nearest voxel on the surface's other side."""
    outside = ndimage.distance_transform_edt(~truth, sampling=spacing_mm)
    inside = ndimage.distance_transform_edt(truth, sampling=spacing_mm)
    false, missing = prediction & ~truth, truth & ~prediction
    counts = [
        (false & (outside <= NEAR_MM)).sum(),
        (false & (outside > NEAR_MM)).sum(),
        (missing & (inside <= NEAR_MM)).sum(),
        (missing & (inside > NEAR_MM)).sum(),
    ]
    size = int(truth.sum())
    parts = tuple(float(count) / size for count in counts)
    return Errors(case, dice(prediction, truth), float(prediction.sum()) / size, parts)


def errors_of_case(predictions: Path, reference: Path) -> list[Errors]:
    """A line for every class that the reference holds."""
    truth, prediction = read_array(reference), read_array(predictions / reference.name)
    spacing, case = Grid.from_file(reference).spacing_mm, reference.name.removesuffix(".nii.gz")
    return [errors(prediction == label, truth == label, spacing, case) for label in np.unique(truth) if label]


def line(cell: str, found: list[Errors]) -> str:
    """Means over cases and classes, and the three cases with the smallest Dice."""
    parts = np.mean([each.parts for each in found], axis=0)
    shares = " | ".join(f"{part / parts.sum():.2f}" if parts.any() else "" for part in parts)
    worst = ", ".join(f"{each.case} {each.dice:.2f}" for each in sorted(found, key=lambda each: each.dice)[:3])
    mean = np.mean([each.dice for each in found])
    return f"| {cell} | {mean:.3f} | {np.mean([each.volume for each in found]):.2f} | {shares} | {worst} |"


def find_masks(workspace: Path, record: Path) -> tuple[Path, list[Path]]:
    """The folder of a finished cell's predictions, and the masks of its test cases.

    Raises:
        FileNotFoundError: a prediction or the masks are gone; names them.
    """
    dataset = json.loads(record.read_text(encoding="utf-8"))["dataset"]
    predictions = workspace / "predictions" / record.stem
    labels = workspace / "nnUNet_raw" / dataset / "labelsTs"
    references = sorted(labels.glob("*.nii.gz"))
    gone = [predictions / mask.name for mask in references if not (predictions / mask.name).exists()]
    if gone or not references:
        what = gone[0] if gone else labels
        raise FileNotFoundError(f"{what} is gone: delete {record} and run `python -m benchmarks.accuracy` again.")
    return predictions, references


def kept_lines(file: Path) -> dict[str, str]:
    """The lines of an earlier table, by cell."""
    if not file.exists():
        return {}
    table = [row for row in file.read_text(encoding="utf-8").splitlines() if row.startswith("| ")]
    return {row.split(" | ")[0].removeprefix("| "): row for row in table[1:]}


def main() -> None:
    """Write errors.md from the workspaces' cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, nargs="+", help="folder of the accuracy benchmark")
    parser.add_argument("--num-processes", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    arguments = parser.parse_args()
    cells: dict[str, tuple[Path, list[Path]]] = {}
    for workspace in arguments.workspace:
        records = sorted((workspace / "cells").glob("*.json"))
        if not records:
            parser.error(f"{workspace} holds no finished cell: run `python -m benchmarks.accuracy` into it first")
        try:
            here = {record.stem: find_masks(workspace, record) for record in records}
        except FileNotFoundError as error:
            parser.error(str(error))
        if twice := here.keys() & cells.keys():
            name = min(twice)
            other = cells[name][0].parents[1]
            parser.error(f"{other} and {workspace} both hold {name}: give the one that counts, or one after the other")
        cells |= here
    lines = kept_lines(arguments.output / "errors.md")
    for name, (predictions, references) in tqdm(cells.items(), unit="cell"):
        with ProcessPoolExecutor(arguments.num_processes) as pool:
            found = pool.map(partial(errors_of_case, predictions), references)
            lines[name] = line(name, [each for case in found for each in case])
    notes = "The four columns in the middle: shares of all wrong voxels. volume: predicted / true."
    text = "\n".join([HEAD, "|---" * 8 + "|", *(lines[name] for name in sorted(lines)), "", notes, ""])
    arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_output(arguments.output / "errors.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
