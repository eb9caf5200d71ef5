"""Segmentation learned from seeds by a voxel classifier instead of a network, in minutes instead of hours.

Seeds with a higher precision need not train better networks: random errors average out over the cases, systematic
errors are learned. Gradient-boosted trees on intensities at several scales and on the position show both effects. They
learn from the seeds of two thirds of the cases and segment the other cases. They use no context, so that the results
are meaningful only where dense masks give a high Dice: on tightly cropped, uniform hippocampi.

Example:
    python -m benchmarks.seed_learning DATA
DATA contains the dense nnU-Net raw dataset Dataset004_Hippocampus; its two classes are merged.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingClassifier
from tqdm import tqdm

from nnunet_paseg.evaluation.metrics import dice
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import place_on_grid
from nnunet_paseg.points.simulate import simulate_points
from nnunet_paseg.seeds.expand import expand_points
from nnunet_paseg.seeds.rules import SeedParameters

RESULTS = Path(__file__).resolve().parent / "results"
DATASET = "Dataset004_Hippocampus"

RULES = {
    "paper, threshold 0.2": SeedParameters(rule="paper"),
    "paper, threshold 0.3": SeedParameters(rule="paper", threshold=0.3),
    "learned (default)": SeedParameters(),
}

SCALES = (1, 2, 3, 5)
"""Widths in voxels of the blurred images that the classifier uses in addition to the image."""

SAMPLES = 5000
"""Number of labelled voxels per case in the training of the classifier."""

SMOOTHING = 0.7
"""Width in voxels by which the probabilities are blurred, since neighbouring voxels belong together."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """A case: features, mask, and label maps by rule (0, 1, and 2 for unlabelled)."""

    features: npt.NDArray[np.float32]
    mask: Mask
    labels: dict[str, npt.NDArray[np.uint8]]


def read_case(image_file: Path, mask_file: Path) -> Case:
    """Read a case, with the seeds of every rule for simulated points, and its mask as ``dense masks``."""
    image, mask, grid = read_array(image_file).astype(np.float32), read_array(mask_file) > 0, Grid.from_file(image_file)
    names = {"target": 1}
    points = simulate_points(mask.astype(np.uint8), grid, names, np.random.default_rng(0))
    instances = [place_on_grid(instance, grid, names) for instance in points]
    labels = {
        name: expand_points(
            image[None], instances, spacing_mm=grid.spacing_mm, num_classes=1, parameters=parameters
        ).labels
        for name, parameters in RULES.items()
    }
    return Case(features_of(image), mask, {**labels, "dense masks": mask.astype(np.uint8)})


def features_of(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the features (z, y, x, features): z-scored intensity, blurred ones, gradient magnitude and position."""
    scored = (image - image.mean()) / image.std()
    blurred = [ndimage.gaussian_filter(scored, scale) for scale in SCALES]
    places = np.meshgrid(*[np.linspace(0, 1, size) for size in image.shape], indexing="ij")
    return np.stack([scored, *blurred, ndimage.gaussian_gradient_magnitude(scored, 1), *places], -1).astype(np.float32)


def learn(cases: list[Case], rule: str) -> HistGradientBoostingClassifier:
    """Train a classifier on the labelled voxels of all cases."""
    generator, features, labels = np.random.default_rng(0), [], []
    for case in cases:
        known = np.flatnonzero(case.labels[rule] < 2)
        known = generator.choice(known, min(len(known), SAMPLES), replace=False)
        features.append(case.features.reshape(-1, case.features.shape[-1])[known])
        labels.append(case.labels[rule].ravel()[known])
    trees = HistGradientBoostingClassifier(
        max_iter=120, learning_rate=0.12, max_leaf_nodes=24, min_samples_leaf=60, early_stopping=False, random_state=0
    )
    return trees.fit(np.concatenate(features), np.concatenate(labels))


def score(classifier: HistGradientBoostingClassifier, cases: list[Case]) -> tuple[float, float, float]:
    """Return mean Dice, mean volume ratio (predicted / reference), and mean Dice at the reference volume."""
    scores = []
    for case in cases:
        flat = case.features.reshape(-1, case.features.shape[-1])
        probability = classifier.predict_proba(flat)[:, 1].reshape(case.mask.shape)
        probability = ndimage.gaussian_filter(probability, SMOOTHING)
        found, volume = probability > 0.5, int(case.mask.sum())
        best = probability >= np.partition(probability, -volume, axis=None)[-volume]
        scores.append((dice(found, case.mask), found.sum() / volume, dice(best, case.mask)))
    means = np.mean(scores, axis=0)
    return float(means[0]), float(means[1]), float(means[2])


def main() -> None:
    """Learn from the seeds of every rule and from dense masks, and write seed_learning.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of dense datasets")
    parser.add_argument("--max-cases", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result (default: %(default)s)")
    arguments = parser.parse_args()
    folder = arguments.data / DATASET
    masks = sorted((folder / "labelsTr").glob("*.nii.gz"))[: arguments.max_cases]
    if len(masks) < 3:
        parser.error(f"{folder / 'labelsTr'} contains {len(masks)} masks: add some, three are needed.")
    images = [folder / "imagesTr" / mask.name.replace(".nii.gz", "_0000.nii.gz") for mask in masks]
    cases = [read_case(*files) for files in tqdm(list(zip(images, masks, strict=True)), desc="seeds", unit="case")]
    training = len(cases) * 2 // 3
    lines = [
        f"Merged hippocampi: learned from {training} cases, {len(cases) - training} segmented.\n",
        "| training labels | Dice | volume ratio (predicted / reference) | Dice at the reference volume |",
        "|---|---|---|---|",
    ]
    for rule in tqdm(cases[0].labels, desc="learning", unit="rule"):
        found, volume, best = score(learn(cases[:training], rule), cases[training:])
        lines.append(f"| {rule} | {found:.3f} | {volume:.2f} | {best:.3f} |")
    with atomic_output(arguments.output / "seed_learning.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
