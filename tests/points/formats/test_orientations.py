"""One anatomy, scanned in five orientations, marked in every format: always the same voxels."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.csv import write_csv
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance, place_on_grid
from tests.points.formats import writers

OBLIQUE = Rotation.from_euler("xyz", [0.3, -0.4, 1.1]).as_matrix()
ORIENTATIONS = {
    "identity": (np.eye(3), (1.0, 1.0, 1.0)),
    "oblique": (OBLIQUE, (0.9, 1.1, 1.0)),
    "permuted": (OBLIQUE[:, [2, 0, 1]], (1.0, 0.8, 1.2)),
    "flipped": (np.diag([-1.0, 1.0, -1.0]), (1.0, 1.0, 1.0)),
    "anisotropic": (np.eye(3), (0.4, 0.6, 5.0)),
}
# The foreground point is in the middle of the list: no reader may rely on its place.
VOXELS = np.array([[2, 8, 9], [9, 8, 9], [5, 3, 9], [5, 8, 10], [5, 14, 9], [5, 8, 4], [5, 8, 16]])
FOREGROUND = 3


def box_markups(path, image, positions, system):
    """An ROI along the image's axes, through the six background points, and the foreground point."""
    low, high = VOXELS.min(axis=0), VOXELS.max(axis=0)
    centre = Grid.from_image(image).to_world((low + high) / 2)[0]
    size = (high - low)[::-1] * image.GetSpacing()
    box = writers.roi(centre, size.tolist(), image.GetDirection(), system=system)
    points = writers.point_list(positions[FOREGROUND : FOREGROUND + 1], system=system, name="F")
    return writers.save_markups(path, box, points)


def instance(positions):
    return Instance("tumor", positions[[FOREGROUND]], np.delete(positions, FOREGROUND, axis=0))


FORMATS = {
    "mrk.json LPS": lambda folder, image, points: writers.save_markups(
        folder / "a.mrk.json", writers.point_list(points)
    ),
    "mrk.json RAS": lambda folder, image, points: writers.save_markups(
        folder / "a.mrk.json", writers.point_list(points, system="RAS")
    ),
    "box LPS": lambda folder, image, points: box_markups(folder / "a.mrk.json", image, points, "LPS"),
    "box RAS": lambda folder, image, points: box_markups(folder / "a.mrk.json", image, points, "RAS"),
    "fcsv LPS": lambda folder, image, points: writers.save_fcsv(folder / "a.fcsv", points),
    "fcsv 0": lambda folder, image, points: writers.save_fcsv(folder / "a.fcsv", points, system="0"),
    "table LPS": lambda folder, image, points: writers.save_slicer_table(folder / "a.csv", points),
    "table RAS": lambda folder, image, points: writers.save_slicer_table(folder / "a.tsv", points, system="RAS"),
    "napari kji": lambda folder, image, points: writers.save_napari(folder / "a.kji.csv", VOXELS),
    "napari ijk": lambda folder, image, points: writers.save_napari(folder / "a.ijk.csv", VOXELS[:, ::-1]),
    "own csv": lambda folder, image, points: write_csv([instance(points)], folder / "a.csv") or folder / "a.csv",
    "mrk.json named in full": lambda folder, image, points: writers.save_markups(
        folder / "a.mrk.json", writers.named_point_list([instance(points)])
    ),
    "label map": lambda folder, image, points: writers.save_label_map(
        folder / "a_7points.nii.gz", [instance(points)], image
    ),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("name", FORMATS)
def test_same_voxels(name, orientation, tmp_path):
    direction, spacing = ORIENTATIONS[orientation]
    image = sitk.Image([20, 16, 12], sitk.sitkInt16)
    image.SetSpacing(spacing)
    image.SetOrigin([31.0, -72.5, 14.25])
    image.SetDirection(direction.ravel().tolist())
    # SimpleITK's own transform is the oracle of where a voxel lies in the world.
    points = np.array([image.TransformIndexToPhysicalPoint(voxel[::-1].tolist()) for voxel in VOXELS])
    grid = Grid.from_image(image)
    (found,) = read_points(FORMATS[name](tmp_path, image, points), grid, ["tumor"])
    assert found.class_name == "tumor"
    placed = place_on_grid(found, grid, {"tumor": 1})
    assert placed.foreground.tolist() == [VOXELS[FOREGROUND].tolist()]
    assert placed.box == (slice(3, 9), slice(4, 14), slice(5, 16))
    assert len(placed.background) == 0
    if not name.startswith("box"):
        background = grid.to_voxels(found.background).tolist()
        assert sorted(background) == sorted(np.delete(VOXELS, FOREGROUND, axis=0).tolist())
