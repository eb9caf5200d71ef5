"""One case: its images, its points, and the label map that comes of them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.dataset import Case, DatasetPlan
from nnunet_paseg.errors import PasegError
from nnunet_paseg.files import moved_into_place, read_array, write_json
from nnunet_paseg.point_formats import read_points
from nnunet_paseg.point_formats.csv import write_csv
from nnunet_paseg.points import Grid, Instance, place_on_grid
from nnunet_paseg.seeds import expand_points
from nnunet_paseg.simulate import simulate_points


def record_file(folder: Path, case: Case) -> Path:
    """How a case was made; it is there once the case is whole."""
    return folder / "records" / f"{case.identifier}.json"


def convert_case(case: Case, plan: DatasetPlan, folder: Path) -> None:
    """Write a case's images, labels and points below ``folder``, and last of all its record.

    Args:
        case: to convert.
        plan: names, classes and seed parameters.
        folder: holds imagesTr, labelsTr, imagesTs, labelsTs, points and records.

    Raises:
        PasegError: the case cannot be converted; names it.
    """
    suffix = "Tr" if case.split == "train" else "Ts"
    try:
        grid = Grid.from_file(case.images[0])
        for channel, path in enumerate(case.images):
            if not Grid.from_file(path).same_as(grid):
                raise PasegError(f"{path} and {case.images[0]} are on different grids: resample them to one.")
            _copy_image(path, folder / f"images{suffix}" / f"{case.identifier}_{channel:04d}.nii.gz")
        record: dict[str, Any] = {"images": {str(path): _sha256(path) for path in case.images}}
        label_file = folder / f"labels{suffix}" / f"{case.identifier}.nii.gz"
        if case.split == "test":
            if case.mask is not None:
                _write_labels(_read_mask(case.mask, grid, plan), case.images[0], label_file)
        elif case.annotation == "dense":
            assert case.mask is not None
            _write_labels(_read_mask(case.mask, grid, plan), case.images[0], label_file)
            record["annotation"] = "dense"
        else:
            instances = _instances(case, grid, plan)
            labels = expand_points(
                np.stack([read_array(path) for path in case.images]),
                [place_on_grid(instance, grid, plan.labels) for instance in instances],
                spacing_mm=grid.spacing_mm,
                num_classes=len(plan.class_names),
                parameters=plan.seeds,
            )
            counts = np.bincount(labels.ravel(), minlength=plan.ignore_label + 1)
            names = ("background", *plan.class_names, "ignore")
            lost = sorted({i.class_name for i in instances if not counts[plan.labels[i.class_name]]})
            if lost:
                record["warning"] = f"no voxel is left for the seeds of {lost}: other classes are nearer everywhere"
            record |= {
                "annotation": case.annotation,
                "instances": len(instances),
                "voxels": {name: int(count) for name, count in zip(names, counts, strict=True)},
            }
            _write_labels(labels, case.images[0], label_file)
            write_csv(instances, folder / "points" / f"{case.identifier}.csv")
    except PasegError as error:
        raise PasegError(f"Case {case.identifier}: {error}") from error
    # Written last: a case without its record is converted again.
    write_json(record, record_file(folder, case))


def _instances(case: Case, grid: Grid, plan: DatasetPlan) -> list[Instance]:
    if case.annotation == "points":
        assert case.points is not None
        return read_points(case.points, grid, plan.class_names)
    assert case.mask is not None
    # Seeded by the case's name, so that a case has the same points whatever else is converted beside it.
    seed = int.from_bytes(hashlib.sha256(case.identifier.encode()).digest()[:8], "big")
    rng = np.random.default_rng([plan.point_seed, seed])
    return simulate_points(_read_mask(case.mask, grid, plan), grid, plan.labels, rng)


def _read_mask(path: Path, grid: Grid, plan: DatasetPlan) -> np.ndarray[Any, np.dtype[np.uint8]]:
    if not Grid.from_file(path).same_as(grid):
        raise PasegError(f"{path} is not on its image's grid: resample the mask to the image.")
    mask = read_array(path)
    mapping = {0: 0, **(plan.mask_labels or {label: label for label in plan.labels.values()})}
    unknown = sorted(set(np.unique(mask).tolist()) - set(mapping))
    if unknown:
        raise PasegError(f"{path} holds the values {unknown}, which no class of {list(plan.class_names)} explains.")
    result = np.zeros(mask.shape, dtype=np.uint8)
    for value, label in mapping.items():
        result[mask == value] = label
    return result


def _write_labels(labels: np.ndarray[Any, np.dtype[np.uint8]], image_file: Path, path: Path) -> None:
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(sitk.ReadImage(str(image_file)))
    with moved_into_place(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True)


def _copy_image(source: Path, path: Path) -> None:
    with moved_into_place(path) as temporary:
        if source.name.endswith(".nii.gz"):
            shutil.copyfile(source, temporary)
        else:
            sitk.WriteImage(sitk.ReadImage(str(source)), str(temporary), useCompression=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
