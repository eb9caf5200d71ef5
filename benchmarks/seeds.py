"""Precision and recall of expanded seeds on densely annotated images, inside the boxes of the targets.

Seven points are simulated on every mask, every rule expands the same points, and the seeds are compared with the masks.
No network is involved.

Example:
    python benchmarks/seeds.py DATA
DATA contains dense nnU-Net raw datasets (imagesTr, labelsTr, dataset.json), such as Dataset004_Hippocampus.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from tqdm import tqdm

from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import VoxelInstance, place_on_grid
from nnunet_paseg.points.simulate import simulate_points
from nnunet_paseg.seeds.rules import SeedParameters, target_seeds

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Row:
    """One target that is expanded by one rule: fractions of the box, precision and recall against the mask.

    ``volume`` is the estimated volume as a fraction of the reference volume; the paper's rule has none. The last four
    count foreground and background seeds in the first layers of voxels inside and outside the reference surface (see
    :func:`balance`).
    """

    dataset: str
    case: str
    label: int
    rule: str
    fill: float
    precision: float
    recall: float
    background_share: float
    background_precision: float
    volume: float
    foreground_inside: int
    foreground_outside: int
    background_inside: int
    background_outside: int


RULES = {
    "paper, threshold 0.2": SeedParameters(rule="paper"),
    "paper, threshold 0.3": SeedParameters(rule="paper", threshold=0.3),
    "learned (default)": SeedParameters(),
}


def measure(dataset: str, merge: bool, image_file: Path, mask_file: Path) -> list[Row]:
    """Measure all rules on every target of one case."""
    image, mask, grid = read_array(image_file).astype(np.float32), read_array(mask_file), Grid.from_file(image_file)
    mask = (mask > 0).astype(np.uint8) if merge else mask
    names = {str(label): int(label) for label in np.unique(mask) if label}
    rows = []
    for instance in simulate_points(mask, grid, names, np.random.default_rng(0)):
        placed = place_on_grid(instance, grid, names)
        rows += [
            compare(dataset, image_file, name, parameters, image, mask, grid, placed)
            for name, parameters in RULES.items()
        ]
    return rows


def compare(
    dataset: str,
    image_file: Path,
    name: str,
    parameters: SeedParameters,
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer],
    grid: Grid,
    instance: VoxelInstance,
) -> Row:
    """Measure one rule on one target."""
    seeds = target_seeds(image[None], instance, spacing_mm=grid.spacing_mm, parameters=parameters)
    truth = mask[instance.box] == instance.label
    inside, outside = truth & ~ndimage.binary_erosion(truth), ndimage.binary_dilation(truth) & ~truth
    background = seeds.background.sum()
    return Row(
        dataset=dataset,
        case=image_file.name.removesuffix("_0000.nii.gz"),
        label=instance.label,
        rule=name,
        fill=round(float(truth.mean()), 4),
        precision=round(float((seeds.foreground & truth).sum() / max(1, seeds.foreground.sum())), 4),
        recall=round(float((seeds.foreground & truth).sum() / truth.sum()), 4),
        background_share=round(float(background / truth.size), 4),
        background_precision=round(float((seeds.background & ~truth).sum() / background), 4) if background else 1.0,
        volume=round(float(seeds.volume / truth.sum()), 4),
        foreground_inside=int((seeds.foreground & inside).sum()),
        foreground_outside=int((seeds.foreground & outside).sum()),
        background_inside=int((seeds.background & inside).sum()),
        background_outside=int((seeds.background & outside).sum()),
    )


def balance(rows: list[Row]) -> float:
    """Return the balance of seeds at the reference surface: log(fg_in fg_out / (bg_in bg_out)) over all targets.

    Below 0, background is nearer to the surface than foreground, or beyond it more often: networks learn targets that
    are too small. Above 0, they learn targets that are too large. Half a voxel is added to every count.
    """
    names = ("foreground_inside", "foreground_outside", "background_inside", "background_outside")
    counts = [math.log(sum(getattr(row, name) for row in rows) + 0.5) for name in names]
    return counts[0] + counts[1] - counts[2] - counts[3]


def table(rows: list[Row]) -> str:
    """Return a Markdown table, one row per dataset and rule: means over the targets, smallest precision in brackets."""
    head = "dataset | rule | precision (worst target) | recall | background in the box | its precision (worst) | "
    head += "volume ratio (estimated / reference): mean, median (SD of the logarithm; range) | balance at the surface"
    lines = [f"| {head} |", "|---" * 8 + "|"]
    for dataset in dict.fromkeys(row.dataset for row in rows):
        for rule in RULES:
            chosen = [row for row in rows if (row.dataset, row.rule) == (dataset, rule)]
            precision, recall, share, right, volume = np.array(
                [
                    (row.precision, row.recall, row.background_share, row.background_precision, row.volume)
                    for row in chosen
                ]
            ).T
            count = len(chosen)
            background = "0 |  |  | "
            if share.any():
                background = f"{share.mean():.2f} | {right.mean():.3f} ({right.min():.2f}) | "
                background += f"{volume.mean():.2f}, {np.median(volume):.2f} ({np.log(volume).std():.2f}; "
                background += f"{volume.min():.2f} to {volume.max():.2f}) | {balance(chosen):+.1f}"
            lines.append(
                f"| {dataset}, {count} targets | {rule} | {precision.mean():.3f} ({precision.min():.2f}) | "
                f"{recall.mean():.3f} | {background} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure the datasets of a folder and write seeds.csv and seeds.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of dense datasets")
    parser.add_argument("--max-cases", type=int, default=40, help="cases per dataset (default: %(default)s)")
    parser.add_argument("--num-processes", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for folder in sorted(path.parent for path in arguments.data.glob("*/dataset.json")):
        classes = len(json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["labels"]) - 1
        masks = sorted((folder / "labelsTr").glob("*.nii.gz"))[: arguments.max_cases]
        images = [folder / "imagesTr" / mask.name.replace(".nii.gz", "_0000.nii.gz") for mask in masks]
        short = folder.name.partition("_")[2]
        # Touching classes as one target are another, harder shape.
        for merge, name in ((False, short), (True, f"{short}, merged")) if classes == 2 else ((False, short),):
            with ProcessPoolExecutor(arguments.num_processes) as pool:
                results = pool.map(partial(measure, name, merge), images, masks)
                for result in tqdm(results, total=len(masks), desc=name, unit="case"):
                    rows += result
    with (
        atomic_output(arguments.output / "seeds.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(astuple(row) for row in rows)
    with atomic_output(arguments.output / "seeds.md") as temporary:
        temporary.write_text(table(rows), encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
