"""Damaged image files: whatever is cut, added or changed, the image is the same or there is a message."""

import gzip
import struct
import subprocess
import sys

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io import images
from nnunet_paseg.io.images import check_voxels, header_warning, read_header, read_image, read_labels
from nnunet_paseg.points.grid import Grid

ARRAY = np.random.default_rng(0).integers(-500, 2000, (4, 5, 6)).astype(np.int16)
FILES = ("plain.nii", "a.nii.gz", "a.nrrd", "gzip.nrrd", "a.mha", "zlib.mha", "a.mhd")
# Offsets in a NIfTI-1 header.
DIM, DATATYPE, PIXDIM, VOX_OFFSET, SCL_SLOPE, QFORM_CODE, QOFFSET, SROW = 40, 70, 76, 108, 112, 252, 268, 280


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


def write(folder, name, array=ARRAY, spacing=(1.0, 2.0, 3.0), origin=(5.0, 6.0, 7.0)):
    """Write an image and return its file, and the file of its voxels."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    path = folder / name
    sitk.WriteImage(image, str(path), useCompression=name[:4] in ("gzip", "zlib"))
    return path, path.with_suffix(".raw") if name.endswith(".mhd") else path


def read(path):
    image = read_image(path)
    return sitk.GetArrayFromImage(image), Grid.from_image(image)


def assert_same_or_refused(path, expected):
    """The same voxels on the same grid, or a message that names the file."""
    try:
        array, grid = read(path)
    except PasegError as error:
        message = str(error)
    else:
        np.testing.assert_array_equal(array, expected[0])
        assert grid == expected[1]
        return True
    assert str(path) in message
    return False


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=15)
@given(data=st.data())
def test_a_file_that_is_cut_off_is_refused(folder, name, data):
    path, voxels = write(folder, name)
    content = voxels.read_bytes()
    voxels.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(PasegError, match=name):
        read_image(path)
    with pytest.raises(PasegError, match=name):
        check_voxels(path)


@pytest.mark.parametrize("name", ["a.nii.gz"])
@settings(max_examples=15)
@given(kept=st.integers(0, ARRAY.nbytes - 1))
def test_a_whole_gzip_file_of_a_part_of_the_voxels_is_refused(folder, name, kept):
    path, _ = write(folder, name)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[: 352 + kept]))
    with pytest.raises(PasegError, match=r"truncated or damaged \(its header declares 592 bytes"):
        read_image(path)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=5)
@given(more=st.binary(min_size=1, max_size=40))
def test_more_bytes_than_declared_are_refused(folder, name, more):
    path, voxels = write(folder, name)
    expected = read(path)
    voxels.write_bytes(voxels.read_bytes() + more)
    is_padding = not any(more) and name in ("a.nii.gz", "gzip.nrrd")
    assert assert_same_or_refused(path, expected) == is_padding


@pytest.mark.parametrize("name", ["a.nii.gz", "gzip.nrrd", "zlib.mha"])
@settings(max_examples=25)
@given(place=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_damaged_compressed_voxels_are_refused(folder, name, place, bits):
    path, _ = write(folder, name)
    expected, content = read(path), bytearray(path.read_bytes())
    start = len(content) - 200  # in the voxels
    content[start + int(place * 200)] ^= bits
    path.write_bytes(content)
    assert_same_or_refused(path, expected)


@pytest.fixture
def checked(monkeypatch):
    """Files that are decompressed once more, to be checked."""
    files = []
    check = images.check_complete
    monkeypatch.setattr(images, "check_complete", lambda data: (files.append(data.image.name), check(data)))
    return files


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", ["a.nii.gz", "gzip.nrrd"])
def test_gzip_data_are_decompressed_once(tmp_path, checked, name, kind):
    array = ARRAY.astype(kind)
    path, _ = write(tmp_path, name, array)
    np.testing.assert_array_equal(read(path)[0], array)
    assert checked == []


def test_the_checksum_is_of_the_bytes_in_the_file_in_their_own_order(tmp_path, checked):
    path = tmp_path / "a.nii.gz"
    nibabel.Nifti1Image(ARRAY.T, np.eye(4), nibabel.Nifti1Header(endianness=">")).to_filename(path)
    np.testing.assert_array_equal(read(path)[0], ARRAY)
    assert checked == []


def scale(path, slope, intercept):
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<2f", content, SCL_SLOPE, slope, intercept)
    path.write_bytes(gzip.compress(content))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    slope=st.one_of(
        st.sampled_from([0, 1, 2, np.nan]), st.floats(2**-20, 2**20, width=32), st.floats(-9, -0.125, width=32)
    ),
    intercept=st.sampled_from([0, -1024, 0.3]),
)
def test_scaled_gzip_data_are_decompressed_once(folder, checked, kind, slope, intercept):
    path, _ = write(folder, "scaled.nii.gz", ARRAY.astype(kind))
    scale(path, slope, intercept)
    np.testing.assert_array_equal(read(path)[0], sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
    # A tiny slope next to the intercept leaves too few digits of the values.
    assert checked == [] or abs(slope) < 2**-9
    checked.clear()


def test_several_members_and_scaled_numbers_that_are_rounded_are_checked_in_a_pass_of_their_own(tmp_path, checked):
    path, _ = write(tmp_path, "members.nii.gz")
    content = gzip.decompress(path.read_bytes())
    half = len(content) // 2
    path.write_bytes(gzip.compress(content[:half]) + gzip.compress(content[half:]))
    np.testing.assert_array_equal(read(path)[0], ARRAY)
    for name, values in (("float.nii.gz", ARRAY / np.float32(7)), ("large.nii.gz", 2**24 + ARRAY.astype(np.int32))):
        path, _ = write(tmp_path, name, values)
        scale(path, 0.3, 7)
        np.testing.assert_array_equal(read(path)[0], sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
    assert checked == ["members.nii.gz", "float.nii.gz", "large.nii.gz"]


@pytest.mark.parametrize("cut", [1, 9, 60])
def test_scaled_gzip_data_that_lack_voxels_are_refused(tmp_path, cut):
    # More than ITK decompresses to read the header.
    path, _ = write(tmp_path, "a.nii.gz", np.random.default_rng(0).integers(0, 2**15, (48, 64, 64)).astype(np.int16))
    scale(path, 2, 7)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    with pytest.raises(PasegError, match=r"a\.nii\.gz is truncated or damaged"):
        read_image(path)
    # As long as declared, but with a different checksum.
    path.write_bytes(content[:-8] + bytes([content[-8] ^ 1]) + content[-7:])
    with pytest.raises(PasegError, match=r"a\.nii\.gz is truncated or damaged"):
        read_image(path)


@pytest.mark.parametrize("name", ["plain.nii", "a.nii.gz"])
@settings(max_examples=60)
@given(
    poke=st.one_of(
        st.tuples(st.sampled_from(range(DIM, DIM + 8, 2)), st.just("h"), st.integers(-2, 9)),
        st.tuples(st.sampled_from(range(DIM, DIM + 8, 2)), st.just("h"), st.integers(-(2**15), 2**15 - 1)),
        st.tuples(st.just(DATATYPE), st.just("h"), st.sampled_from([0, 1, 2, 8, 16, 64, 128, 256, 999, -4])),
        st.tuples(st.just(VOX_OFFSET), st.just("f"), st.one_of(st.floats(width=32), st.integers(0, 700))),
        st.tuples(st.just(0), st.just("i"), st.sampled_from([0, 347, 349, 540])),
        st.tuples(st.just(344), st.just("4s"), st.sampled_from([b"ni1\0", b"n+2\0", b"\0\0\0\0", b"abcd"])),
    )
)
def test_a_changed_nifti_header_gives_the_same_image_or_a_message(folder, name, poke):
    path, _ = write(folder, name)
    expected, content = read(path), path.read_bytes()
    raw = bytearray(gzip.decompress(content) if name.endswith(".gz") else content)
    struct.pack_into(f"<{poke[1]}", raw, poke[0], poke[2])
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    assert_same_or_refused(path, expected)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40)
@given(data=st.data(), byte=st.integers(0, 255), length=st.integers(0, 6))
def test_whatever_bytes_are_in_a_header_nothing_but_a_message_is_raised(folder, name, data, byte, length):
    path, _ = write(folder, name)
    content = path.read_bytes()
    raw = bytearray(gzip.decompress(content) if name.endswith(".gz") else content)
    start = data.draw(st.integers(0, 351 if ".nii" in name else raw.find(b"\x00") % 500))
    raw[start : start + length] = bytes([byte])
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    try:
        read_image(path)
    except PasegError as error:
        message = str(error)
    else:
        message = str(path)
    assert str(path) in message


@pytest.mark.parametrize("file", ["", "\0", "LIST", "a%d.raw", "nowhere.raw", "."])
def test_a_meta_image_without_one_file_of_voxels_is_refused(folder, file):
    path, _ = write(folder, "c.mhd")
    path.write_bytes(path.read_bytes().replace(b"= c.raw", b"= " + file.encode()))
    with pytest.raises(PasegError, match=r"c\.mhd"):
        read_image(path)


@pytest.mark.parametrize("number", ["-1", "0", "32767", "1e9", "9" * 20, ""])
@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
def test_a_number_of_axes_on_which_itk_crashes_is_refused(folder, name, number):
    path, _ = write(folder, name)
    path.write_bytes(path.read_bytes().replace(b"NDims = 3", f"NDims = {number}".encode()))
    with pytest.raises(
        PasegError, match=rf"{path.name} is truncated or damaged \(NDims is '{number}', but there are 3 sizes"
    ):
        read_header(path)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("name", ["plain.nii", "a.nii.gz"])
def test_a_matrix_with_which_itk_never_ends_is_refused(folder, name, value):
    path, _ = write(folder, name)
    for offset in range(SROW, SROW + 48, 4):
        data = bytearray(gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes())
        before = bytes(data)
        struct.pack_into("<f", data, offset, value)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        with pytest.raises(PasegError, match=rf"{path.name} has a header with sform of"):
            read_header(path)
        path.write_bytes(gzip.compress(before) if name.endswith(".gz") else before)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=20)
@given(data=st.data(), bad=st.sampled_from(["0", "nan", "inf", "-nan", "1,5", "x", ""]))
def test_a_spacing_or_an_origin_that_is_no_number_is_refused(folder, name, data, bad):
    path, _ = write(folder, name)
    content, axis, is_spacing = path.read_bytes(), data.draw(st.integers(0, 2)), data.draw(st.booleans())
    bad = "nan" if bad == "0" and not is_spacing else bad
    if ".nii" in name:
        raw = bytearray(gzip.decompress(content) if name.endswith(".gz") else content)
        number = {"0": 0.0, "inf": np.inf}.get(bad, np.nan)
        struct.pack_into("<f", raw, (PIXDIM + 4 + 4 * axis) if is_spacing else QOFFSET + 4 * axis, number)
        content = gzip.compress(raw) if name.endswith(".gz") else bytes(raw)
    elif ".nrrd" in name:
        numbers = ["5", "6", "7"]
        numbers[axis] = bad
        change = (b"space origin: (5,6,7)", f"space origin: ({','.join(numbers)})".encode())
        if is_spacing:
            numbers = ["(1,0,0)", "(0,2,0)", "(0,0,3)"]
            numbers[axis] = f"(0,0,{bad})"
            change = (b"space directions: (1,0,0) (0,2,0) (0,0,3)", f"space directions: {' '.join(numbers)}".encode())
        content = content.replace(*change)
    else:
        key, numbers = ("ElementSpacing", ["1", "2", "3"]) if is_spacing else ("Offset", ["5", "6", "7"])
        before = f"{key} = {' '.join(numbers)}".encode()
        numbers[axis] = bad
        content = content.replace(before, f"{key} = {' '.join(numbers)}".encode())
    path.write_bytes(content)
    with pytest.raises(PasegError, match=name):
        read_image(path)
    with pytest.raises(PasegError, match=name):
        Grid.from_file(path)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=5)
@given(size=st.integers(1000, 30000))
def test_a_header_of_absurd_size_is_refused_before_anything_is_allocated(folder, name, size):
    path, _ = write(folder, name)
    content = path.read_bytes()
    if ".nii" in name:
        raw = bytearray(gzip.decompress(content) if name.endswith(".gz") else content)
        struct.pack_into("<3h", raw, DIM + 2, size, size, size)
        content = gzip.compress(raw) if name.endswith(".gz") else bytes(raw)
    else:
        declared = f" {size} {size} {size}".encode()
        content = content.replace(b"sizes: 6 5 4", b"sizes:" + declared).replace(b"Size = 6 5 4", b"Size =" + declared)
    path.write_bytes(content)
    with pytest.raises(PasegError, match=r"its header declares [\d,]+ bytes, .* has [\d,]+\): copy"):
        read_image(path)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=5)
@given(bad=st.sampled_from([np.nan, np.inf, -np.inf]), kind=st.sampled_from([np.float32, np.float64]), data=st.data())
def test_voxels_that_are_not_finite_are_refused(folder, name, bad, kind, data):
    array = ARRAY.astype(kind)
    array.ravel()[data.draw(st.integers(0, array.size - 1))] = bad
    path, _ = write(folder, name, array)
    for reader in (read_image, read_labels, check_voxels):
        with pytest.raises(PasegError, match=f"{name} contains 1 NaN or infinite voxels"):
            reader(path)


def test_labels_are_integers(folder):
    path, _ = write(folder, "a.nii.gz", ARRAY.astype(np.float32))
    labels, image = read_labels(path)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, ARRAY)
    assert image.GetSize() == ARRAY.shape[::-1]
    for value in (0.5, 3e9):
        array = ARRAY.astype(np.float32)
        array[3, 2, 1] = value
        path, _ = write(folder, "a.nii.gz", array)
        with pytest.raises(
            PasegError, match=rf"not a label map: .* not integers, e\.g\. {value:g}".replace("+", r"\+")
        ):
            read_labels(path)


def test_several_volumes_or_values_are_refused(folder):
    one = sitk.GetImageFromArray(ARRAY)
    sitk.WriteImage(sitk.JoinSeries([one, one]), str(folder / "series.nii.gz"))
    sitk.WriteImage(sitk.Compose([one, one]), str(folder / "vector.mha"))
    for reader in (read_image, read_labels):
        with pytest.raises(PasegError, match=r"series\.nii\.gz: Expected a 3D image, got 4 dimensions"):
            reader(folder / "series.nii.gz")
        with pytest.raises(PasegError, match=r"vector\.mha: Expected one value per voxel, got 2"):
            reader(folder / "vector.mha")
    check_voxels(folder / "series.nii.gz")


@pytest.mark.parametrize("spelling", ["A.NII", "A.NII.GZ", "A.NRRD", "A.Nrrd", "A.MHA", "A.Mha"])
def test_any_spelling_of_the_suffix_is_read_as_strictly(tmp_path, spelling):
    folder = tmp_path
    path, _ = write(folder, spelling.lower())
    content, path = path.read_bytes(), folder / spelling
    path.write_bytes(content)
    np.testing.assert_array_equal(read(path)[0], ARRAY)
    path.write_bytes(content[:-1])
    with pytest.raises(PasegError, match=spelling):
        read_image(path)


@pytest.mark.parametrize("spelling", ["A.Nii", "a.nii.GZ"])
def test_a_suffix_that_itk_does_not_read_is_to_be_renamed(folder, spelling):
    (folder / spelling).touch()
    with pytest.raises(PasegError, match="rename it, with the suffix in lower case"):
        read_image(folder / spelling)


@pytest.mark.parametrize("name", ["plain.nii", "a.nrrd", "a.mha"])
@given(axes=st.sets(st.integers(0, 2), min_size=1))
def test_negative_spacing_turns_the_axis_round_as_itk_does(folder, name, axes):
    path, _ = write(folder, name)
    content = bytearray(path.read_bytes())
    if name == "plain.nii":
        for axis in axes:
            struct.pack_into("<f", content, PIXDIM + 4 + 4 * axis, -(axis + 1.0))
    else:
        sizes = " ".join(str((-1 if axis in axes else 1) * (axis + 1)) for axis in range(3)).encode()
        content = content.replace(b"space: left-posterior-superior\n", b"").replace(b"space origin: (5,6,7)\n", b"")
        content = content.replace(b"space directions: (1,0,0) (0,2,0) (0,0,3)", b"spacings: " + sizes)
        content = content.replace(b"ElementSpacing = 1 2 3", b"ElementSpacing = " + sizes)
    path.write_bytes(content)
    assert Grid.from_file(path) == Grid.from_image(read_image(path)) == Grid.from_image(sitk.ReadImage(str(path)))
    assert min(Grid.from_file(path).spacing_mm) > 0


@settings(max_examples=40)
@given(
    size=st.floats(1e-3, 10),
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    apart=st.one_of(st.floats(0, 0.08), st.floats(0.15, 100)),
    axis=st.integers(0, 2),
    uses_sform=st.booleans(),
)
def test_a_qform_and_a_sform_apart_are_named(folder, size, angles, apart, axis, uses_sform):
    spacing = (size, 1.5 * size, 2 * size)
    image = sitk.GetImageFromArray(ARRAY)
    image.SetSpacing(spacing)
    image.SetDirection(Rotation.from_euler("xyz", angles).as_matrix().ravel())
    path = folder / "forms.nii"
    sitk.WriteImage(image, str(path))
    assert header_warning(path) is None
    raw = bytearray(path.read_bytes())
    matrix = np.reshape(struct.unpack_from("<12f", raw, SROW), (3, 4))
    matrix[:, 3] += apart * matrix[:, axis]  # along one axis of the image
    struct.pack_into("<12f", raw, SROW, *matrix.ravel())
    struct.pack_into("<2h", raw, QFORM_CODE, 1, 1 if uses_sform else 2)
    path.write_bytes(raw)
    warning = header_warning(path)
    if apart < 0.1:
        assert warning is None
    else:
        used = np.allclose(read_image(path).GetOrigin(), matrix[:, 3] * (-1, -1, 1), rtol=1e-4, atol=1e-4 * size)
        first, second = ("sform", "qform") if used else ("qform", "sform")
        assert f"forms.nii: the {first} and the {second} of its header are {apart:.3g}"[:-1] in warning
        assert f"ITK-SNAP use the {first}" in warning


def test_two_files_of_one_name_are_refused_where_itk_reads_the_wrong_one(tmp_path):
    packed, _ = write(tmp_path, "a.nii.gz", ARRAY + 1)
    plain, _ = write(tmp_path, "a.nii")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(packed))), ARRAY)
    np.testing.assert_array_equal(read(plain)[0], ARRAY)
    with pytest.raises(PasegError, match=r"ITK takes the voxels from a\.nii next to it: remove one"):
        read_image(packed)


def test_the_header_of_a_detached_file_that_is_missing_is_refused(folder):
    path, voxels = write(folder, "b.mhd")
    voxels.unlink()
    read_header(path)
    with pytest.raises(PasegError, match=r"b\.mhd is truncated or damaged \(.*No such file"):
        read_image(path)


READ = """
import sys
from pathlib import Path
from nnunet_paseg.io.images import read_image
read_image(Path(sys.argv[1]))
"""


def read_in_a_process_of_its_own(path):
    """Return how a process ends that reads a file: ITK itself can end it."""
    return subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, errors="replace")


@pytest.mark.parametrize(("name", "field"), [("a.mha", b"NDims = "), ("a.nrrd", b"dimension: ")])
def test_a_wrong_number_of_dimensions_is_refused_before_itk_reads_it(tmp_path, name, field):
    path, _ = write(tmp_path, name)
    content = path.read_bytes()
    assert field + b"3" in content
    path.write_bytes(content.replace(field + b"3", field + b"1e9"))
    ended = read_in_a_process_of_its_own(path)
    assert ended.returncode == 1, ended.stderr
    assert "is '1e9', but there are 3 sizes" in ended.stderr


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    ended = read_in_a_process_of_its_own(tmp_path / "caf\udce9.nii.gz")
    assert ended.returncode == 1, ended.stderr
    assert "has a name that is not UTF-8: rename it" in ended.stderr
