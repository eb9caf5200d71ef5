import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.label_map import read_label_map
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance
from tests.points.formats import writers

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
    first, second = read_points(tmp_path / "case_7points.nii.gz", grid, ["tumor"])
    assert first.class_name == second.class_name == "tumor"
    assert grid.to_voxels(first.background).tolist() == [[1, 2, 3], [9, 8, 7]]
    assert grid.to_voxels(first.foreground).tolist() == [[5, 5, 5]]
    assert grid.to_voxels(second.background).tolist() == [[10, 14, 18]]
    assert grid.to_voxels(second.foreground).tolist() == [[7, 7, 7], [7, 7, 8]]


VOXELS = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 15), st.integers(0, 19)), min_size=14, max_size=14, unique=True
)


@given(VOXELS, st.integers(1, 13), st.integers(1, 6))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(image, tmp_path, voxels, split, inside):
    grid = Grid.from_image(image)
    written = [
        Instance("tumor", grid.to_world(part[:inside]), grid.to_world(part[inside:]))
        for part in (voxels[:split], voxels[split:])
    ]
    path = writers.save_label_map(tmp_path / "points.nii.gz", written, image)
    for instance, expected in zip(read_label_map(path, grid, "tumor"), written, strict=True):
        for read, role in ((instance.foreground, expected.foreground), (instance.background, expected.background)):
            assert sorted(grid.to_voxels(read).tolist()) == sorted(grid.to_voxels(role).tolist())


def test_many_instances(image, tmp_path):
    grid = Grid.from_image(image)
    many = [Instance("tumor", grid.to_world(voxel), np.zeros((0, 3))) for voxel in np.ndindex(5, 6, 7)]
    path = writers.save_label_map(tmp_path / "points.nii.gz", many, image)
    assert len(read_label_map(path, grid, "tumor")) == 210


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
    with pytest.raises(PasegError, match=r"half\.nii\.gz: not a label map: it contains values that are not integers"):
        read_label_map(tmp_path / "half.nii.gz", grid, "tumor")
    moved = Grid(grid.shape, grid.spacing_mm, (0.0, 0.0, 0.0), grid.direction)
    with pytest.raises(PasegError, match=r"lonely\.nii\.gz is not on its image's grid"):
        read_label_map(tmp_path / "lonely.nii.gz", moved, "tumor")
    with pytest.raises(PasegError, match=r"points\.txt is not a point file: save it as one of \.mrk\.json"):
        read_points(tmp_path / "points.txt", grid, ["tumor"])


def test_4d_maps_are_refused(image, tmp_path):
    label_map = sitk.Cast(image, sitk.sitkUInt8)
    sitk.WriteImage(sitk.JoinSeries([label_map, label_map]), str(tmp_path / "series.nii.gz"))
    with pytest.raises(
        PasegError, match=r"series\.nii\.gz: Expected a 3D image, got 4 dim.*save each 3D volume as a file"
    ):
        read_points(tmp_path / "series.nii.gz", Grid.from_image(image), ["tumor"])
    sitk.WriteImage(sitk.Compose([label_map] * 3), str(tmp_path / "colours.nrrd"))
    with pytest.raises(PasegError, match=r"colours\.nrrd: Expected one value per voxel, got 3: save each channel"):
        read_points(tmp_path / "colours.nrrd", Grid.from_image(image), ["tumor"])


def test_a_mask_is_not_taken_for_points(image, tmp_path):
    save(np.full((12, 16, 20), 2, dtype=np.uint8), image, tmp_path / "mask.nii.gz")
    with pytest.raises(PasegError, match=r"mask\.nii\.gz has 3840 voxels of value 2, so it is a mask"):
        read_points(tmp_path / "mask.nii.gz", Grid.from_image(image), ["tumor"])


DESCRIPTIONS = """\
# ITK-SnAP Label Description File
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "tumor fg"
    2     0  255    0        1  1  1    "tumor bg"
    5     0    0  255     0.50  1  1    "Edema 2 in"
    6     0    0  255        1  1  1    "Edema 2 out"
"""


def test_named_values_of_itk_snap(image, tmp_path):
    values = np.zeros((12, 16, 20), dtype=np.uint8)
    values[5, 5, 5], values[1, 1, 1], values[9, 9, 9] = 1, 2, 2
    values[6, 6, 6], values[3, 3, 3] = 5, 6
    save(values, image, tmp_path / "case.nii.gz")
    grid = Grid.from_image(image)
    with pytest.raises(
        PasegError, match=r"has no class names, and the dataset has 2 classes \(tumor, edema\).*labels\.txt"
    ):
        read_points(tmp_path / "case.nii.gz", grid, ["tumor", "edema"])
    (tmp_path / "labels.txt").write_text(DESCRIPTIONS, encoding="utf-8")
    first, second = read_points(tmp_path / "case.nii.gz", grid, ["tumor", "edema"])
    assert (first.class_name, second.class_name) == ("tumor", "edema")
    assert grid.to_voxels(first.foreground).tolist() == [[5, 5, 5]]
    assert grid.to_voxels(first.background).tolist() == [[1, 1, 1], [9, 9, 9]]
    assert grid.to_voxels(second.background).tolist() == [[3, 3, 3]]
    values[0, 0, 0] = 9
    save(values, image, tmp_path / "case.nii.gz")
    with pytest.raises(PasegError, match=r"case\.nii\.gz contains the value 9, which has no name in .*labels\.txt"):
        read_points(tmp_path / "case.nii.gz", grid, ["tumor", "edema"])
    (tmp_path / "labels.txt").write_text("tumor\nedema\n", encoding="utf-8")
    with pytest.raises(PasegError, match=r"labels\.txt contains no label descriptions"):
        read_points(tmp_path / "case.nii.gz", grid, ["tumor", "edema"])


@given(st.permutations(range(1, 9)), st.sampled_from(["Label {}", "label {}"]))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_default_names_of_itk_snap_are_ignored(image, tmp_path, order, name):
    values = np.zeros((12, 16, 20), dtype=np.uint8)
    values[5, 5, 5], values[1, 1, 1], values[9, 9, 9] = 2, 1, 1
    save(values, image, tmp_path / "case.nii.gz")
    lines = ["# IDX", '0 0 0 0 0 0 0 "Clear Label"', *(f'{n} 255 0 0 1 1 1 "{name.format(n)}"' for n in order)]
    (tmp_path / "labels.txt").write_text("\r\n".join(lines), encoding="utf-8")
    grid = Grid.from_image(image)
    (target,) = read_points(tmp_path / "case.nii.gz", grid, ["tumor"])
    assert grid.to_voxels(target.foreground).tolist() == [[5, 5, 5]]
    with pytest.raises(PasegError, match="has no class names, and the dataset has 2 classes"):
        read_points(tmp_path / "case.nii.gz", grid, ["tumor", "edema"])
