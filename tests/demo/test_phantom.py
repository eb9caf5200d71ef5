"""Phantoms: reproducible, of the promised geometry, and neither trivial nor impossible to segment."""

import json
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nnunet_paseg.demo.canvas import Canvas
from nnunet_paseg.demo.phantom import NOISE, make_phantom, write_phantom_dataset
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.evaluate import evaluate_folder
from nnunet_paseg.evaluation.metrics import dice


@pytest.fixture(scope="module")
def phantoms() -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]]:
    return [make_phantom(np.random.default_rng([11, index])) for index in range(10)]


def test_types_and_time() -> None:
    start = time.process_time()
    image, labels = make_phantom(np.random.default_rng(0))
    assert time.process_time() - start < 1.0  # about 0.1 s; head room for a busy machine
    assert image.shape == labels.shape == (32, 48, 48)
    assert image.dtype == np.float32
    assert labels.dtype == np.uint8
    assert np.isfinite(image).all()
    assert image.min() >= 0


def test_generator_is_the_only_source() -> None:
    first, again, other = (make_phantom(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(20, 28), st.integers(36, 44), st.integers(36, 44)),
    num_classes=st.integers(1, 3),
)
@settings(max_examples=8)
def test_every_class_is_there_in_one_piece(seed: int, shape: tuple[int, int, int], num_classes: int) -> None:
    _, labels = make_phantom(np.random.default_rng(seed), shape, num_classes=num_classes)
    assert labels.shape == shape
    assert np.unique(labels).tolist() == list(range(num_classes + 1))
    for label in range(1, num_classes + 1):
        assert ndimage.label(labels == label)[1] == 1
    inner = labels[3:-3, 3:-3, 3:-3]
    assert np.count_nonzero(inner) == np.count_nonzero(labels)


def test_instances_are_apart() -> None:
    _, labels = make_phantom(np.random.default_rng(2), (32, 64, 64), num_classes=2, num_instances=2)
    for label in (1, 2):
        assert ndimage.label(labels == label, structure=np.ones((3, 3, 3)))[1] == 2
    assert ndimage.label(ndimage.binary_dilation(labels > 0))[1] == 4


def test_structures_keep_their_shape_in_millimetres() -> None:
    """At half the spacing a lesion has about twice the voxels along that axis, not another shape."""
    extents = []
    for shape, spacing_mm in (((20, 40, 40), (2.0, 1.0, 1.0)), ((40, 40, 40), (1.0, 1.0, 1.0))):
        sizes = []
        for seed in range(8):
            _, labels = make_phantom(np.random.default_rng(seed), shape, spacing_mm=spacing_mm)
            (box,) = ndimage.find_objects(labels)
            sizes.append([(side.stop - side.start) * step for side, step in zip(box, spacing_mm, strict=True)])
        extents.append(np.mean(sizes, axis=0))
    for extent in extents:
        assert 0.7 < extent[0] / extent[1:].mean() < 1.4


def test_lesion_stands_out_from_its_surroundings(
    phantoms: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]],
) -> None:
    contrasts = []
    for image, labels in phantoms:
        lesion = labels > 0
        shell = ndimage.binary_dilation(lesion, iterations=3) & ~ndimage.binary_dilation(lesion)
        gain = np.median(image[image > 0.5 * image.mean()]) / 100
        contrasts.append((np.median(image[lesion]) - np.median(image[shell])) / gain)
    assert np.mean(np.array(contrasts) > 3 * NOISE) >= 0.8
    assert np.std(contrasts) > 3  # and the contrast varies


def test_no_threshold_finds_the_lesion(phantoms: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]]) -> None:
    """Not even the best intensity window of each case, chosen with the truth at hand."""
    best = []
    for image, labels in phantoms:
        edges = np.quantile(image, np.linspace(0.5, 1, 26))
        windows = [(low, high) for low in edges for high in edges if low < high]
        best.append(max(dice((image > low) & (image <= high), labels > 0) for low, high in windows))
    assert 0.1 < np.mean(best) < 0.6


def test_lesion_has_a_texture_of_its_own() -> None:
    """Between neighbouring voxels a lesion differs more than noise makes the rest of the body differ."""
    rough, smooth = [], []
    for seed in range(6):
        image, labels = make_phantom(np.random.default_rng(seed))
        core = ndimage.binary_erosion(labels > 0)
        step = np.abs(np.diff(image, axis=2))[core[:, :, 1:]]
        air = np.abs(np.diff(image[:, :4, :4], axis=2))
        rough.append(np.median(step))
        smooth.append(np.median(air))
    assert np.mean(rough) > 1.3 * np.mean(smooth)


def test_random_field() -> None:
    field = Canvas(np.random.default_rng(0), (40, 40, 40), (1.0, 1.0, 1.0)).field
    for scale_mm in (1.2, 6.0):
        values = field(scale_mm)
        assert values.mean() == pytest.approx(0, abs=1e-5)
        assert values.std() == pytest.approx(1, abs=1e-5)
    # Smoothing white noise by s leaves the correlation exp(-d^2 / (4 s^2)) at distance d.
    values = field(1.2)
    assert np.mean(values[2:] * values[:-2]) == pytest.approx(np.exp(-4 / (4 * 1.2**2)), abs=0.06)


def test_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset900_Phantom"
    write_phantom_dataset(folder, num_train=2, num_test=1, seed=5, shape_zyx=(20, 36, 40), num_classes=2)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == [
        "dataset.json",
        "imagesTr/case_000_0000.nii.gz",
        "imagesTr/case_001_0000.nii.gz",
        "imagesTs/case_002_0000.nii.gz",
        "labelsTr/case_000.nii.gz",
        "labelsTr/case_001.nii.gz",
        "labelsTs/case_002.nii.gz",
    ]
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert content["labels"] == {"background": 0, "lesion_1": 1, "lesion_2": 2}
    assert content["numTraining"] == 2
    image = sitk.ReadImage(str(folder / "imagesTr/case_000_0000.nii.gz"))
    labels = sitk.ReadImage(str(folder / "labelsTr/case_000.nii.gz"))
    assert image.GetSize() == labels.GetSize() == (40, 36, 20)
    assert image.GetSpacing() == labels.GetSpacing() == (1.0, 1.0, 2.0)
    assert image.GetOrigin() == labels.GetOrigin() == (-19.5, -17.5, -19.0)
    assert image.GetPixelID() == sitk.sitkFloat32
    assert labels.GetPixelID() == sitk.sitkUInt8
    rows = evaluate_folder(folder / "labelsTs", folder / "labelsTs")
    assert [(row.class_name, row.dice) for row in rows] == [("lesion_1", 1), ("lesion_2", 1)]


def test_cases_do_not_depend_on_their_number(tmp_path: Path) -> None:
    for name, num_train in (("small", 1), ("large", 2)):
        write_phantom_dataset(tmp_path / name, num_train=num_train, num_test=1, shape_zyx=(20, 36, 36))

    def read(path: str) -> npt.NDArray[np.float32]:
        return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / path))))

    train = read("small/imagesTr/case_000_0000.nii.gz")
    test = read("small/imagesTs/case_001_0000.nii.gz")
    assert np.array_equal(train, read("large/imagesTr/case_000_0000.nii.gz"))
    assert np.array_equal(test, read("large/imagesTs/case_002_0000.nii.gz"))
    assert not np.array_equal(train, test)
    assert not np.array_equal(train, read("large/imagesTr/case_001_0000.nii.gz"))


def test_errors_say_what_was_got(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(PasegError, match=r"three sizes of 16 voxels or more, got \(8, 48, 48\)"):
        make_phantom(rng, (8, 48, 48))
    with pytest.raises(PasegError, match=r"three positive numbers, got \(1.0, 1.0\)"):
        make_phantom(rng, spacing_mm=(1.0, 1.0))
    with pytest.raises(PasegError, match="1 to 8 classes and 1 or more instances, got 0 and 1"):
        make_phantom(rng, num_classes=0)
    with pytest.raises(PasegError, match="no room left"):
        make_phantom(rng, (16, 24, 24), num_classes=8, num_instances=4)
    with pytest.raises(PasegError, match="got num_train=0, num_test=1"):
        write_phantom_dataset(tmp_path / "new", num_train=0, num_test=1)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PasegError, match="exists and is not an empty folder"):
        write_phantom_dataset(tmp_path, num_train=1, num_test=0)
