"""Cases to an nnU-Net raw dataset: parallel, resumable, and never in place of something that is there."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import torch
from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json
from tqdm import tqdm

import nnunet_paseg
from nnunet_paseg.case_conversion import convert_case, record_file
from nnunet_paseg.dataset import Case, DatasetPlan, check_cases
from nnunet_paseg.errors import PasegError
from nnunet_paseg.files import write_json


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
    check_cases(cases, plan)
    staging = raw_folder / f".{plan.name}.partial"
    _open_staging(staging, cases, plan)
    todo = [case for case in cases if not record_file(staging, case).exists()]
    progress = tqdm(total=len(todo), desc=f"Converting to {plan.name}", unit="case")
    for _ in _each(todo, plan, staging, num_processes):
        progress.update()
    progress.close()
    _finish(staging, cases, plan)
    if target.exists():
        # Out of the way first: whenever this is stopped, one of the two is whole.
        old = raw_folder / f".{plan.name}.replaced"
        target.replace(old)
        staging.replace(target)
        shutil.rmtree(old)
    else:
        staging.replace(target)
    return target


def _each(todo: Sequence[Case], plan: DatasetPlan, staging: Path, num_processes: int) -> Iterator[None]:
    """Convert the cases, one step of the iteration as each is done."""
    if num_processes <= 1:
        for case in todo:
            convert_case(case, plan, staging)
            yield
        return
    # Spawned, since a process that has used torch's threads must not be forked.
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        jobs = [pool.submit(convert_case, case, plan, staging) for case in todo]
        try:
            for job in as_completed(jobs):
                yield job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    torch.set_num_threads(1)


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
    records = {case.identifier: json.loads(record_file(staging, case).read_text()) for case in cases}
    for identifier, record in records.items():
        if "warning" in record:
            tqdm.write(f"Warning: case {identifier}: {record['warning']}.")
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
