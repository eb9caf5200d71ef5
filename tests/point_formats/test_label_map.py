import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.point_formats import read_points
from nnunet_paseg.point_formats.label_map import read_label_map, write_label_map
from nnunet_paseg.points import Grid, Instance

OBLIQUE = (0.0, 0.8, 0.6, 1.0, 0.0, 0.0, 0.0, 0.6, -0.8)


@pytest.fixture
def image():
    image = sitk.Image([20, 16, 12], sitk.sitkInt16)
    image.SetSpacing([0.5, 0.7, 3.0])
    image.SetOrigin([10, -20, 30])
    image.SetDirection(OBLIQUE)
    return image


def save(values, image, path):
    label_map = sitk.GetImageFromArray(values)
    label_map.CopyInformation(image)
    sitk.WriteImage(label_map, str(path))


def test_published_values(image, tmp_path):
    values = np.zeros((12, 16, 20), dtype=np.uint8)
    values[1, 2, 3] = values[9, 8, 7] = 1
    values[5, 5, 5] = 2
    values[10, 14, 18] = 3
    values[7, 7, 7] = values[7, 7, 8] = 4
    save(values, image, tmp_path / "case_7points.nii.gz")
    grid = Grid.from_image(image)
    first, second = read_points(tmp_path / "case_7points.nii.gz", grid, ["tumor", "edema"])
    assert first.class_name == second.class_name == "tumor"
    assert grid.to_voxels(first.background).tolist() == [[1, 2, 3], [9, 8, 7]]
    assert grid.to_voxels(first.foreground).tolist() == [[5, 5, 5]]
    assert grid.to_voxels(second.background).tolist() == [[10, 14, 18]]
    assert grid.to_voxels(second.foreground).tolist() == [[7, 7, 7], [7, 7, 8]]


def test_round_trip(image, tmp_path):
    grid = Grid.from_image(image)
    written = [
        Instance("tumor", grid.to_world([[5, 5, 5]]), grid.to_world([[1, 1, 1], [8, 8, 8]])),
        Instance("tumor", grid.to_world([[9, 9, 9]]), grid.to_world([[6, 7, 8], [11, 15, 19]])),
    ]
    write_label_map(written, image, tmp_path / "points.nii.gz")
    for instance, expected in zip(read_label_map(tmp_path / "points.nii.gz", grid, "tumor"), written, strict=True):
        np.testing.assert_allclose(instance.foreground, expected.foreground, atol=1e-4)
        np.testing.assert_allclose(instance.background, expected.background, atol=1e-4)


def test_no_point_at_all_is_a_case_without_target(image, tmp_path):
    save(np.zeros((12, 16, 20), dtype=np.uint8), image, tmp_path / "empty.nii.gz")
    assert read_label_map(tmp_path / "empty.nii.gz", Grid.from_image(image), "tumor") == []


def test_bad_maps_are_refused(image, tmp_path):
    grid = Grid.from_image(image)
    values = np.zeros((12, 16, 20), dtype=np.float32)
    values[1, 1, 1] = 3
    values[2, 2, 2] = 2
    save(values, image, tmp_path / "lonely.nii.gz")
    with pytest.raises(PasegError, match=r"lonely\.nii\.gz: instance 2 has no foreground voxel \(value 4\)"):
        read_label_map(tmp_path / "lonely.nii.gz", grid, "tumor")
    values[3, 3, 3] = 0.5
    save(values, image, tmp_path / "half.nii.gz")
    with pytest.raises(PasegError, match=r"half\.nii\.gz is no label map: its values must be whole numbers"):
        read_label_map(tmp_path / "half.nii.gz", grid, "tumor")
    moved = Grid(grid.shape, grid.spacing_mm, (0.0, 0.0, 0.0), grid.direction)
    with pytest.raises(PasegError, match=r"lonely\.nii\.gz is not on its image's grid"):
        read_label_map(tmp_path / "lonely.nii.gz", moved, "tumor")
    with pytest.raises(PasegError, match=r"points\.txt is no point file that can be read: expected one of \.csv"):
        read_points(tmp_path / "points.txt", grid, ["tumor"])
