"""Phantoms: simulated images with known lesions, for the demo and the tests.

A phantom is a textured body in air with fat, organs and vessels, a bias field and Rician noise. A lesion differs from
its surroundings in mean and in texture. Fat and vessels have a similar mean, and so has a smooth organ: no threshold
separates the lesion, but a small network does. Place, size, shape, contrast and rim (brighter or darker) vary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from nnunet_paseg.demo.canvas import BoolArray, Canvas, FloatArray
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output, write_json

BODY = 100.0
NOISE = 5.0
MIN_SIZE = 16
ORGAN_CONTRASTS = (-20.0, -12.0, 10.0, 18.0)


@dataclass(frozen=True)
class _Look:
    """Appearance of a class: mean contrast to the body, and standard deviation and grain of its texture."""

    contrast: float
    texture: float
    grain_mm: float


def make_phantom(
    rng: np.random.Generator,
    shape_zyx: Sequence[int] = (32, 48, 48),
    *,
    spacing_mm: Sequence[float] = (2.0, 1.0, 1.0),
    num_classes: int = 1,
    num_instances: int = 1,
) -> tuple[FloatArray, npt.NDArray[np.uint8]]:
    """Draw one image and its dense labels.

    Args:
        rng: Random generator; the same state gives the same phantom.
        shape_zyx: Number of voxels along (z, y, x), 16 or more each.
        spacing_mm: Voxel size along (z, y, x), mm; structures keep their shape in millimetres.
        num_classes: Number of lesion classes; odd classes are brighter than the body, even ones darker.
        num_instances: Number of lesions per class, which do not touch.

    Returns:
        Image (z, y, x), 0 in air and 100 in the body before bias, noise, gain; labels (z, y, x), 0 and 1..num_classes.

    Raises:
        PasegError: A size is invalid, or there is no room for so many lesions.

    Example:
        >>> image, labels = make_phantom(np.random.default_rng(0))
        >>> image.shape, int(labels.max())
        ((32, 48, 48), 1)
    """
    shape = tuple(shape_zyx)
    if len(shape) != 3 or min(shape) < MIN_SIZE:
        raise PasegError(f"shape_zyx must be three sizes of {MIN_SIZE} voxels or more, got {shape}")
    if len(spacing_mm) != 3 or min(spacing_mm) <= 0:
        raise PasegError(f"spacing_mm must be three positive numbers, got {tuple(spacing_mm)}")
    if not 1 <= num_classes <= 8 or num_instances < 1:
        raise PasegError(f"a phantom has 1 to 8 classes and 1 or more instances, got {num_classes} and {num_instances}")
    canvas = Canvas(rng, shape, spacing_mm)
    looks = [_look(index) for index in range(num_classes)]
    image, muscle = _body(canvas)
    # Three voxels off the border, so that the points around a lesion are inside the image.
    room = muscle & ndimage.binary_erosion(np.ones(shape, dtype=bool), iterations=3)
    labels = np.zeros(shape, dtype=np.uint8)
    levels = np.zeros(shape, dtype=np.float32)
    for label in [*range(1, num_classes + 1)] * num_instances:
        radius_mm = canvas.size_mm.min() * rng.uniform(0.15, 0.22) * (num_classes * num_instances) ** (-1 / 2)
        lesion, level = canvas.blob(room, radius_mm)
        labels[lesion], levels[lesion] = label, level[lesion]
        room &= canvas.distance_mm(lesion) > 3 * max(spacing_mm)
    _draw_organs(canvas, image, muscle, labels > 0, looks)
    for label, look in enumerate(looks, start=1):
        image[labels == label] = _lesion(canvas, look, levels)[labels == label]
    return _acquire(canvas, image), labels


def _look(index: int) -> _Look:
    """Return the appearance of class `index`: alternately bright and dark, two grains, then stronger contrasts."""
    sign = 1 if index % 2 == 0 else -1
    return _Look(contrast=sign * (40.0 + 14.0 * (index // 4)), texture=11.0, grain_mm=1.2 if index % 4 < 2 else 2.4)


def _body(canvas: Canvas) -> tuple[FloatArray, BoolArray]:
    """Return an image of textured muscle under a layer of fat, and the mask of the muscle."""
    rng = canvas.rng
    half_mm = canvas.size_mm[1:] * rng.uniform(0.42, 0.47, size=2)
    radius = np.hypot(canvas.grid_mm[1] / half_mm[0], canvas.grid_mm[2] / half_mm[1])
    radius *= 1 + 0.04 * canvas.field(canvas.size_mm.min() / 6)
    muscle = radius < 1 - rng.uniform(0.08, 0.14)
    image = np.where(radius < 1, BODY + rng.uniform(30, 60), 0.0).astype(np.float32)
    image[muscle] = (BODY + 3 * canvas.field(1.5) + 4 * canvas.field(6.0))[muscle]
    return image, muscle


def _draw_organs(
    canvas: Canvas, image: FloatArray, muscle: BoolArray, lesions: BoolArray, looks: Sequence[_Look]
) -> None:
    """Draw organs and vessels at random places, and a smooth organ with almost the mean of a lesion."""
    rng = canvas.rng
    for _ in range(rng.integers(3, 6)):
        organ, _ = canvas.blob(muscle, canvas.size_mm.min() * rng.uniform(0.1, 0.22))
        image[organ] = BODY + rng.choice(ORGAN_CONTRASTS) * rng.uniform(0.8, 1.2) + 2.5 * canvas.field(3.0)[organ]
    for contrast in rng.uniform(25, 60, size=4):
        image[canvas.tube(rng.uniform(1.0, 2.0)) & muscle] = BODY + contrast
    # Organs may touch a lesion. The similar organ may not: the border would be invisible.
    apart = muscle & (canvas.distance_mm(lesions) > 2 * canvas.spacing_mm.min())
    look_alike, _ = canvas.blob(apart, canvas.size_mm.min() * rng.uniform(0.1, 0.16))
    contrast = rng.choice([look.contrast for look in looks]) * rng.uniform(0.45, 0.65)
    image[look_alike] = BODY + contrast + 2.5 * canvas.field(3.0)[look_alike]


def _lesion(canvas: Canvas, look: _Look, level: FloatArray) -> FloatArray:
    """Return the intensities of a lesion; core and rim differ by less than lesion and body."""
    rng = canvas.rng
    rim = np.clip((level - 0.55) / 0.3, 0, 1) * rng.choice([-1.0, 1.0]) * rng.uniform(4, 8)
    texture = look.texture * rng.uniform(0.8, 1.2) * canvas.field(look.grain_mm)
    return np.asarray(BODY + look.contrast * rng.uniform(0.95, 1.3) + rim + texture, dtype=np.float32)


def _acquire(canvas: Canvas, image: FloatArray) -> FloatArray:
    """Apply point spread, bias field, gain and Rician noise of a scanner."""
    rng = canvas.rng
    blurred = ndimage.gaussian_filter(image, 0.5)
    biased = blurred * np.exp(0.06 * canvas.field(canvas.size_mm.min() / 2))
    real, imaginary = NOISE * rng.standard_normal((2, *canvas.shape), dtype=np.float32)
    return np.asarray(rng.uniform(0.7, 1.4) * np.hypot(biased + real, imaginary), dtype=np.float32)


def write_phantom_dataset(
    folder: str | Path,
    *,
    num_train: int,
    num_test: int,
    seed: int = 0,
    shape_zyx: Sequence[int] = (32, 48, 48),
    spacing_mm: Sequence[float] = (2.0, 1.0, 1.0),
    num_classes: int = 1,
    num_instances: int = 1,
) -> None:
    """Write a densely annotated nnU-Net raw dataset of phantoms: imagesTr, labelsTr, imagesTs, labelsTs, dataset.json.

    Every case has its own random stream, so it does not depend on the number of cases.

    Args:
        folder: New or empty dataset folder, such as nnUNet_raw/Dataset900_Phantom.
        num_train: Number of training cases, case_000 and so on.
        num_test: Number of test cases, which continue the numbering.
        seed: Seed of the whole dataset.
        shape_zyx: Shape as in `make_phantom`.
        spacing_mm: Voxel size as in `make_phantom`, mm; also written to the headers.
        num_classes: Number of classes, named "lesion", or "lesion_1" and so on if there are several.
        num_instances: Number of lesions per class.

    Raises:
        PasegError: The folder is not empty, or an argument is invalid.
    """
    folder = Path(folder)
    if num_train < 1 or num_test < 0:
        raise PasegError(f"a dataset has 1 or more training cases, got num_train={num_train}, num_test={num_test}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PasegError(f"{folder}: exists and is not an empty folder: remove it or choose a different folder")
    streams = [("Tr", index) for index in range(num_train)] + [("Ts", index) for index in range(num_test)]
    for number, (split, index) in enumerate(streams):
        rng = np.random.default_rng([seed, int(split == "Ts"), index])
        image, labels = make_phantom(
            rng, shape_zyx, spacing_mm=spacing_mm, num_classes=num_classes, num_instances=num_instances
        )
        _write_image(image, folder / f"images{split}" / f"case_{number:03d}_0000.nii.gz", spacing_mm)
        _write_image(labels, folder / f"labels{split}" / f"case_{number:03d}.nii.gz", spacing_mm)
    names = ["lesion"] if num_classes == 1 else [f"lesion_{label}" for label in range(1, num_classes + 1)]
    content = {
        "channel_names": {"0": "phantom"},
        "labels": {"background": 0} | {name: label for label, name in enumerate(names, start=1)},
        "numTraining": num_train,
        "file_ending": ".nii.gz",
    }
    write_json(content, folder / "dataset.json")  # last: a dataset with this file is complete


def _write_image(array: npt.NDArray[np.generic], path: Path, spacing_mm: Sequence[float]) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(size) for size in reversed(tuple(spacing_mm))])
    # The world origin is in the centre of the image, as in scans, so voxel and world coordinates differ.
    image.SetOrigin([-(n - 1) / 2 * step for n, step in zip(image.GetSize(), image.GetSpacing(), strict=True)])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(path) as temporary:
        sitk.WriteImage(image, str(temporary))
