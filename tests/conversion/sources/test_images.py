"""Channels of a 4D file: the voxels that ITK extracts, and the file is decompressed once."""

import gzip
import re

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from nnunet_paseg.conversion.sources import Channel, ImageFile
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io import images

ARRAY = np.random.default_rng(0).integers(-99, 999, (6, 5, 4, 3)).astype(np.int16)


def write(path, array=ARRAY, slope=None):
    """Write channels (x, y, z, c) with an oblique matrix."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (0.1, 0.2, 0.3)).as_matrix() * [1, 2, 3]
    affine[:3, 3] = 5, 6, 7
    image = nibabel.Nifti1Image(array, affine)
    image.header["descrip"] = b"four channels"
    if slope:
        image.header.set_slope_inter(slope, -11)
    nibabel.save(image, path)


def extracted(path, index):
    """The channel as ITK extracts it."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    reader.SetExtractSize([*reader.GetSize()[:3], 0])
    reader.SetExtractIndex([0, 0, 0, index])
    return reader.Execute()


@pytest.fixture
def reads(monkeypatch):
    """Passes through the voxels of a file."""
    passes = []
    check, execute = images.check_complete, sitk.ImageFileReader.Execute
    monkeypatch.setattr(images, "check_complete", lambda data: (passes.append("check"), check(data)))
    monkeypatch.setattr(sitk.ImageFileReader, "Execute", lambda reader: (passes.append("read"), execute(reader))[1])
    return passes


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("slope", [None, 0.5])
def test_a_channel_is_what_itk_extracts(tmp_path, reads, kind, slope):
    path = tmp_path / "a.nii.gz"
    write(path, np.abs(ARRAY).astype(kind), slope if kind != np.float32 else None)
    for index in range(3):
        expected = extracted(path, index)
        reads.clear()
        channel = Channel(path, index).read()
        assert reads == ["read"]
        for name, image in (("expected", expected), ("channel", channel)):
            sitk.WriteImage(image, str(tmp_path / f"{name}.nii"))
        assert (tmp_path / "channel.nii").read_bytes() == (tmp_path / "expected.nii").read_bytes()
        assert Channel(path, index).grid().same_as(ImageFile(tmp_path / "channel.nii").grid())


def nan(path):
    array = ARRAY.astype(np.float32)
    array[1, 2, 3, 2] = np.nan
    write(path, array)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), r"a\.nii\.gz is truncated or damaged"),
        (
            lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100])),
            r"a\.nii\.gz is truncated or damaged \(its header declares 1,072 bytes",
        ),
        (nan, r"a\.nii\.gz contains 1 NaN or infinite voxels: repair it"),
        (lambda path: write(path, ARRAY[..., 0]), r"a\.nii\.gz: channel 0 of a 4D image is needed, but its size is"),
        (lambda path: path.unlink(), r"Cannot read the image .*a\.nii\.gz: it is missing"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_whichever_channel_is_read(tmp_path, spoil, message):
    path = tmp_path / "a.nii.gz"
    write(path)
    spoil(path)
    with pytest.raises(PasegError) as raised:
        Channel(path, 0).read()
    assert re.search(message, str(raised.value)), raised.value


def test_the_voxels_of_a_detached_file_are_among_its_files(tmp_path):
    sitk.WriteImage(sitk.Image(3, 4, 5, sitk.sitkUInt8), str(tmp_path / "a.mhd"))
    assert ImageFile(tmp_path / "a.mhd").files == (tmp_path / "a.mhd", tmp_path / "a.raw")
    sitk.WriteImage(sitk.Image(3, 4, 5, sitk.sitkUInt8), str(tmp_path / "a.mha"))
    assert ImageFile(tmp_path / "a.mha").files == (tmp_path / "a.mha",)
