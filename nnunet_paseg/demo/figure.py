"""The figure of the demo: points, seeds, predictions of every method and reference of some test phantoms."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nnunet_paseg.io.images import read_array
from nnunet_paseg.plotting.comparison import comparison_figure
from nnunet_paseg.plotting.panels import FigureRow, MarkedPoints, Panel
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import place_on_grid
from nnunet_paseg.points.simulate import simulate_points
from nnunet_paseg.seeds.expand import expand_points

LABELS = {"lesion": 1}
IGNORE = 2
NUM_CASES = 4
TITLES = {"seeds": "seeds only", "stage1": "stage 1", "stage2": "stage 2"}


def draw_cases(
    dataset: Path, predictions: Mapping[str, Path], dice: Mapping[str, Mapping[str, float]], path: Path
) -> None:
    """Draw the first test phantoms.

    Points and seeds are simulated for the figure: the networks were not trained on them.

    Args:
        dataset: Raw dataset with imagesTs and labelsTs.
        predictions: Folder of label maps by method.
        dice: Dice by method and case.
        path: File to write.
    """
    rows = []
    for file in sorted((dataset / "labelsTs").glob("*.nii.gz"))[:NUM_CASES]:
        case = file.name.removesuffix(".nii.gz")
        image_file = dataset / "imagesTs" / f"{case}_0000.nii.gz"
        image, reference, grid = read_array(image_file), read_array(file), Grid.from_file(image_file)
        instances = simulate_points(reference, grid, LABELS, np.random.default_rng(0))
        placed = [place_on_grid(instance, grid, LABELS) for instance in instances]
        seeds = expand_points(image[None], placed, spacing_mm=grid.spacing_mm, num_classes=1).labels
        inside = np.concatenate([grid.to_voxels(instance.foreground) for instance in instances])
        outside = np.concatenate([grid.to_voxels(instance.background) for instance in instances])
        positions = np.concatenate([inside, outside]).astype(float)
        points = MarkedPoints(positions, np.repeat([1, 0], [len(inside), len(outside)]))
        results = [
            Panel(read_array(folder / file.name), with_reference=True, note=f"Dice {dice[method][case]:.2f}")
            for method, folder in predictions.items()
        ]
        panels = [Panel(points=points), Panel(seeds, ignore_label=IGNORE), *results, Panel(reference)]
        rows.append(FigureRow(case, image, grid.spacing_mm, panels, reference))
    columns = ["points", "expanded seeds", *(TITLES[method] for method in predictions), "reference"]
    comparison_figure(rows, columns, path, class_names=list(LABELS))
