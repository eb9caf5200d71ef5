"""Clicked cases on disk, and probabilities that are given instead of computed."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from nnunet_paseg.cli import main
from nnunet_paseg.points.formats.csv import write_csv
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

SHAPE = (14, 20, 24)
CENTRE, RADII = np.array([6, 9, 11]), np.array([4, 6, 7])
OBLIQUE = Rotation.from_euler("xyz", (12, -20, 30), degrees=True).as_matrix()[:, [1, 2, 0]]


def write_case(folder, case, *, classes=("tumor",), channels=(0,), shift=0):
    """Write one case: every class has a bright ellipsoid, `shift` voxels along x from the one before."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "points").mkdir(exist_ok=True)
    rng = np.random.default_rng(len(case))
    places = np.stack(np.indices(SHAPE), -1)
    values = rng.normal(100, 5, SHAPE)
    centres = [CENTRE + np.array((0, 0, shift * number)) for number in range(len(classes))]
    for centre in centres:
        values[(((places - centre) / RADII) ** 2).sum(-1) < 0.8] += 60
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing((0.8, 1.1, 2.5))
    image.SetOrigin((-30.0, 12.5, 400.0))
    image.SetDirection(OBLIQUE.ravel().tolist())
    for channel in channels:
        name = f"{case}.nii.gz" if channels == (0,) else f"{case}_{channel:04d}.nii.gz"
        sitk.WriteImage(image, str(folder / "images" / name))
    write_points(folder, case, classes, centres, Grid.from_image(image))


def write_points(folder, case, classes, centres, grid, outside=0):
    instances = []
    for name, centre in zip(classes, centres, strict=True):
        offsets = [sign * (RADII + outside) * axis for axis in np.eye(3, dtype=int) for sign in (-1, 1)]
        instances.append(Instance(name, grid.to_world([centre]), grid.to_world(centre + offsets)))
    write_csv(instances, folder / "points" / f"{case}.csv")


def expand(folder, *options, out="out", classes=("tumor",)):
    """Run the command in this process and return its exit status."""
    names = [str(folder / name) for name in ("images", "points", out)]
    return main(["expand", *names, "--classes", *classes, "--num-processes", "1", *options])


def contents(folder, pattern="**/*.nii.gz"):
    """Bytes of all files, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob(pattern))}


@pytest.fixture
def probability_of(monkeypatch):
    """Set the probability: a function of the instance, with values for its box."""

    def set_to(function):
        def probability(image, instance, expander):
            shape = [side.stop - side.start for side in instance.box]
            return np.broadcast_to(function(instance), shape).astype(np.float32)

        monkeypatch.setattr("nnunet_paseg.expansion.case.target_probability", probability)

    return set_to


@pytest.fixture
def no_sheet(monkeypatch):
    """Draw no contact sheet, which takes longer than everything else."""
    monkeypatch.setattr("nnunet_paseg.expansion.cases.contact_sheet", lambda blocks, path: [])
