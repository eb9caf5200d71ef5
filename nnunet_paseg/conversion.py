"""Cases to an nnU-Net raw dataset: parallel, resumable, and never in place of something that is there."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
import torch
from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json
from tqdm import tqdm

import nnunet_paseg
from nnunet_paseg.errors import PasegError
from nnunet_paseg.files import moved_into_place, read_array, write_json
from nnunet_paseg.point_formats import read_points
from nnunet_paseg.point_formats.csv import write_csv
from nnunet_paseg.points import Grid, Instance, place_on_grid
from nnunet_paseg.seeds import SeedParameters, expand_points
from nnunet_paseg.simulate import simulate_points


@dataclass(frozen=True)
class Case:
    """One case of a dataset to be.

    Attributes:
        identifier: nnU-Net's case identifier.
        images: one file a channel, in the order of the channels.
        points: point file; None where points are simulated or the case is dense or unlabelled.
        mask: dense label map; scores a test case, and trains or simulates for a training case.
        annotation: what a training case teaches: its ``points``, points ``simulated`` from its mask, or its whole
            ``dense`` mask.
        split: ``train`` goes to imagesTr/labelsTr, ``test`` to imagesTs and, where there is a mask, labelsTs.
    """

    identifier: str
    images: tuple[Path, ...]
    points: Path | None = None
    mask: Path | None = None
    annotation: Literal["points", "simulated", "dense"] = "points"
    split: Literal["train", "test"] = "train"


@dataclass(frozen=True)
class DatasetPlan:
    """What a dataset will be called and how its labels are made.

    Attributes:
        name: nnU-Net's dataset name, ``DatasetXXX_Name``.
        channel_names: one name a channel; nnU-Net normalises a channel called ``CT`` differently.
        class_names: the K foreground classes; their labels are 1..K in this order, K+1 is ``ignore``.
        mask_labels: value in the dense masks to label here (0..K); values that are not named are refused.
        seeds: how points are expanded.
        point_seed: seed of simulated points.
    """

    name: str
    channel_names: tuple[str, ...]
    class_names: tuple[str, ...]
    mask_labels: Mapping[int, int] = field(default_factory=dict)
    seeds: SeedParameters = field(default_factory=SeedParameters)
    point_seed: int = 0

    @property
    def labels(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.class_names, start=1)}

    @property
    def ignore_label(self) -> int:
        return len(self.class_names) + 1


def convert(
    cases: Sequence[Case], plan: DatasetPlan, raw_folder: Path, *, num_processes: int = 4, overwrite: bool = False
) -> Path:
    """Write an nnU-Net raw dataset whose training labels come from points.

    Everything is written to a hidden folder beside the dataset, which takes the dataset's name when it is complete:
    an interrupted conversion that is started again keeps its finished cases.

    Args:
        cases: training and test cases.
        plan: names, classes and seed parameters.
        raw_folder: usually ``$nnUNet_raw``.
        num_processes: cases converted at the same time.
        overwrite: replace a dataset of that name.

    Returns:
        The dataset's folder.

    Raises:
        PasegError: the dataset exists, or a case cannot be converted; what was there before stays as it was.
    """
    target = raw_folder / plan.name
    if target.exists() and not overwrite:
        raise PasegError(f"{target} exists already: choose another dataset ID or name, or pass --overwrite.")
    _check(cases, plan)
    staging = raw_folder / f".{plan.name}.partial"
    _open_staging(staging, cases, plan)
    todo = [case for case in cases if not _record_file(staging, case).exists()]
    progress = tqdm(total=len(todo), desc=f"Converting to {plan.name}", unit="case")
    for _ in _each(todo, plan, staging, num_processes):
        progress.update()
    progress.close()
    _finish(staging, cases, plan)
    if target.exists():
        shutil.rmtree(target)
    staging.replace(target)
    return target


def _each(todo: Sequence[Case], plan: DatasetPlan, staging: Path, num_processes: int) -> Iterator[None]:
    """Convert the cases, one step of the iteration as each is done."""
    if num_processes <= 1:
        for case in todo:
            _convert_case(case, plan, staging)
            yield
        return
    # Spawned, since a process that has used torch's threads must not be forked.
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        jobs = [pool.submit(_convert_case, case, plan, staging) for case in todo]
        try:
            for job in as_completed(jobs):
                yield job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    torch.set_num_threads(1)


def _check(cases: Sequence[Case], plan: DatasetPlan) -> None:
    identifiers = [case.identifier for case in cases]
    duplicates = sorted({name for name in identifiers if identifiers.count(name) > 1})
    if duplicates:
        raise PasegError(f"Case identifiers must be unique; more than one case is called {duplicates[:5]}.")
    if not any(case.split == "train" for case in cases):
        raise PasegError(f"{plan.name} would have no training case.")
    for case in cases:
        if len(case.images) != len(plan.channel_names):
            raise PasegError(
                f"Case {case.identifier} has {len(case.images)} image files for the {len(plan.channel_names)} "
                f"channels {list(plan.channel_names)}."
            )
        needed = [*case.images, *(path for path in (case.points, case.mask) if path is not None)]
        for path in needed:
            if not path.is_file():
                raise PasegError(f"Case {case.identifier}: {path} is missing.")
        if case.split == "train":
            source = "points" if case.annotation == "points" else "mask"
            if getattr(case, source) is None:
                raise PasegError(
                    f"Training case {case.identifier} is to learn from its {source}, but there is no file."
                )


def _fingerprint(cases: Sequence[Case], plan: DatasetPlan) -> str:
    content = json.dumps([[asdict(case) for case in cases], asdict(plan)], default=str, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _open_staging(staging: Path, cases: Sequence[Case], plan: DatasetPlan) -> None:
    """Keep an interrupted conversion only if it was asked for the same thing."""
    marker, fingerprint = staging / "fingerprint", _fingerprint(cases, plan)
    if staging.exists() and (not marker.exists() or marker.read_text() != fingerprint):
        shutil.rmtree(staging)
    for folder in ("imagesTr", "labelsTr", "imagesTs", "labelsTs", "points", "records"):
        (staging / folder).mkdir(parents=True, exist_ok=True)
    marker.write_text(fingerprint)


def _record_file(staging: Path, case: Case) -> Path:
    return staging / "records" / f"{case.identifier}.json"


def _convert_case(case: Case, plan: DatasetPlan, staging: Path) -> None:
    suffix = "Tr" if case.split == "train" else "Ts"
    try:
        grid = Grid.from_file(case.images[0])
        for channel, path in enumerate(case.images):
            if not Grid.from_file(path).same_as(grid):
                raise PasegError(f"{path} and {case.images[0]} are on different grids: resample them to one.")
            _copy_image(path, staging / f"images{suffix}" / f"{case.identifier}_{channel:04d}.nii.gz")
        record: dict[str, Any] = {"images": {str(path): _sha256(path) for path in case.images}}
        label_file = staging / f"labels{suffix}" / f"{case.identifier}.nii.gz"
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
            record |= {
                "annotation": case.annotation,
                "instances": len(instances),
                "voxels": {name: int(count) for name, count in zip(names, counts, strict=True)},
            }
            _write_labels(labels, case.images[0], label_file)
            write_csv(instances, staging / "points" / f"{case.identifier}.csv")
    except PasegError as error:
        raise PasegError(f"Case {case.identifier}: {error}") from error
    # Written last: a case without its record is converted again.
    write_json(record, _record_file(staging, case))


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


def _finish(staging: Path, cases: Sequence[Case], plan: DatasetPlan) -> None:
    training = [case for case in cases if case.split == "train"]
    generate_dataset_json(
        str(staging),
        dict(enumerate(plan.channel_names)),
        {"background": 0, **plan.labels, "ignore": plan.ignore_label},
        len(training),
        ".nii.gz",
        dataset_name=plan.name,
    )
    records = {case.identifier: json.loads(_record_file(staging, case).read_text()) for case in cases}
    write_json(
        {
            "tool": f"nnunet-paseg {nnunet_paseg.__version__}",
            "seeds": asdict(plan.seeds),
            "point_seed": plan.point_seed,
            "cases": records,
        },
        staging / "paseg.json",
    )
    shutil.rmtree(staging / "records")
    (staging / "fingerprint").unlink()
    for folder in ("imagesTs", "labelsTs", "points"):
        if not any((staging / folder).iterdir()):
            (staging / folder).rmdir()
