"""Points and seeds on real, densely labelled images; PASEG_TEST_DATA names the folder of the datasets."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import place_on_grid
from nnunet_paseg.points.simulate import simulate_points
from nnunet_paseg.seeds.expand import expand_points
from nnunet_paseg.seeds.rules import SeedParameters
from tests.conftest import load_script

DATA = os.environ.get("PASEG_TEST_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="PASEG_TEST_DATA is not set")

# Dataset, case, labels of its classes, and the smallest share of the seeds that lies in the target: with certain seeds,
# and with the default cuts.
CASES = [
    ("Dataset004_Hippocampus", "hippocampus_003", (1, 2), 0.6, 0.6),
    ("Dataset050_LeftAtrium", "la_001", (1,), 0.95, 0.9),
    ("Dataset060_SoftTissueSarcoma", "sts_001", (1,), 0.9, 0.9),
    ("Dataset070_AbdomenMR", "chaos_02", (1, 2, 3, 4), 0.8, 0.8),
]


@pytest.mark.parametrize(("dataset", "case", "labels", "precision", "default"), CASES)
def test_what_the_points_say_is_true(dataset, case, labels, precision, default):
    folder = Path(DATA) / dataset
    image_file = folder / "imagesTr" / f"{case}_0000.nii.gz"
    image, mask = read_array(image_file), read_array(folder / "labelsTr" / f"{case}.nii.gz")
    grid, names = Grid.from_file(image_file), {f"class {label}": label for label in labels}
    instances = simulate_points(mask, grid, names, np.random.default_rng(0))
    assert {instance.class_name for instance in instances} == set(names)
    placed = [place_on_grid(instance, grid, names) for instance in instances]
    # The default cuts label more voxels than the former ones, 0.9 and 0.1, and with less certainty.
    certain = SeedParameters(foreground_probability=0.9, background_probability=0.1)
    rules = (
        (SeedParameters(rule="paper"), 0.0, precision),
        (certain, 0.15, precision),
        (SeedParameters(), 0.25, default),
    )
    for parameters, lost, share in rules:
        seeds = expand_points(
            image[None],
            placed,
            spacing_mm=grid.spacing_mm,
            num_classes=len(labels),
            parameters=parameters,
        ).labels
        # Specks below the smallest size get no points, so a few of their voxels may count as background.
        assert (mask[seeds == 0] > 0).sum() <= 10 + lost * (mask > 0).sum()
        for label in labels:
            assert (seeds == label).any()
        known = (seeds > 0) & (seeds <= len(labels))
        assert (mask[known] == seeds[known]).mean() >= share


def test_a_real_dataset_is_converted(tmp_path):
    script = load_script("from_dense_dataset")
    source = Path(DATA) / "Dataset070_AbdomenMR"
    arguments = [
        str(source),
        "5",
        "--raw",
        str(tmp_path),
        "--num-train",
        "2",
        "--num-test",
        "1",
        "--num-processes",
        "1",
    ]
    assert run(script.main, script.build_parser(), arguments) == 0
    for file in (tmp_path / "Dataset005_AbdomenMR" / "labelsTr").glob("*.nii.gz"):
        assert set(np.unique(read_array(file))) == {0, 1, 2, 3, 4, 5}
        original = Grid.from_file(source / "labelsTr" / file.name)
        assert Grid.from_file(file).same_as(original)
