"""Images that are written: on the grid of the image, complete, or with a message."""

import errno
import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_paseg.io.geometry import Geometry, geometry_of
from nnunet_paseg.io.writing import OutputError, concerns_output, write_bytes_image

GEOMETRY = Geometry((5, 4, 3), (0.5, 1.5, 2.0), (1.0, -2.0, 3.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
VOXELS = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)


def test_an_image_has_its_geometry_and_its_voxels(tmp_path):
    write_bytes_image(VOXELS, GEOMETRY, tmp_path / "a.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert geometry_of(image).is_same_grid(GEOMETRY)
    assert image.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), VOXELS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]


def test_a_file_that_is_cut_off_silently_is_noticed(tmp_path, monkeypatch):
    def cut(image, path, **_):
        with gzip.open(path, "wb") as file:
            file.write(bytes(40))

    monkeypatch.setattr(sitk, "WriteImage", cut)
    with pytest.raises(OutputError, match=r"a\.nii\.gz cannot be written: make room on the disk"):
        write_bytes_image(VOXELS, GEOMETRY, tmp_path / "a.nii.gz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "file", "expected"),
    [(errno.ENOSPC, "in/a", True), (errno.EACCES, "out/a", True), (errno.EACCES, "in/a", False)],
)
def test_errors_of_the_output_and_of_a_case_are_distinguished(tmp_path, number, file, expected):
    assert concerns_output(OSError(number, "no", str(tmp_path / file)), tmp_path / "out") == expected
