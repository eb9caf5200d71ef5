"""Conversion of cases to an nnU-Net raw dataset: in parallel, resumable, and without touching existing datasets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm import tqdm

from nnunet_paseg.conversion.case import convert_case
from nnunet_paseg.conversion.describe import TOOL, describe
from nnunet_paseg.conversion.plan import Case, DatasetPlan, check_cases
from nnunet_paseg.conversion.record import is_converted
from nnunet_paseg.conversion.staging import Staging, clean_up, move_to
from nnunet_paseg.errors import PasegError


def convert(
    cases: Sequence[Case], plan: DatasetPlan, raw_folder: Path, *, num_processes: int = 4, overwrite: bool = False
) -> Path:
    """Write an nnU-Net raw dataset whose training labels come from points.

    All files are written to a hidden folder next to the dataset, which gets the dataset's name when it is complete.
    An interrupted conversion that is started again keeps its finished cases, unless their files have changed.

    Args:
        cases: Training and test cases.
        plan: Names, classes and seed parameters.
        raw_folder: Folder of raw datasets, usually ``$nnUNet_raw``.
        num_processes: Number of cases converted at the same time.
        overwrite: Whether an existing dataset of that name is replaced.

    Returns:
        Folder of the dataset.

    Raises:
        PasegError: The dataset exists, or a case cannot be converted. Existing datasets stay unchanged.
    """
    target = _free_target(plan, raw_folder, overwrite)
    check_cases(cases, plan)
    staging = Staging(raw_folder, plan.name, _conversion_hash(cases, plan))
    staging.remove_others()
    folder = staging.claim_stopped()
    if folder is None:
        staging.open()
        _convert_cases(cases, plan, staging.folder, num_processes)
        folder = staging.claim()
    if folder is None:
        raise PasegError(f"A different process is converting to {target}: wait until it has finished.")
    _complete(folder, cases, plan, target)
    return target


def convert_part(
    cases: Sequence[Case],
    plan: DatasetPlan,
    raw_folder: Path,
    *,
    part_id: int,
    num_parts: int,
    num_processes: int = 4,
    overwrite: bool = False,
) -> Path | None:
    """Convert one part of the cases, while other processes or machines convert the other parts.

    Args:
        cases: All training and test cases, the same in every part.
        plan: Names, classes and seed parameters, the same in every part.
        raw_folder: Folder of raw datasets, the same for all parts.
        part_id: Index of this part, from 0.
        num_parts: Number of parts.
        num_processes: Number of cases converted at the same time.
        overwrite: Whether an existing dataset of that name is replaced once all parts are done.

    Returns:
        Folder of the dataset if this part was the last one, otherwise None. Finished parts are kept, and
        :func:`convert` completes what is missing.

    Raises:
        PasegError: As in :func:`convert`, or the part does not exist.
    """
    if not 0 <= part_id < num_parts:
        raise PasegError(f"The parts are 0..{num_parts - 1}: there is no part {part_id}.")
    target = _free_target(plan, raw_folder, overwrite)
    check_cases(cases, plan)
    staging = Staging(raw_folder, plan.name, _conversion_hash(cases, plan))
    if staging.claimed():
        return None
    staging.open()
    _convert_cases(cases[part_id::num_parts], plan, staging.folder, num_processes)
    if not all(is_converted(staging.folder, case) for case in cases):
        return None
    folder = staging.claim()
    if folder is None:
        return None
    _complete(folder, cases, plan, target)
    return target


def _free_target(plan: DatasetPlan, raw_folder: Path, overwrite: bool) -> Path:
    target = raw_folder / plan.name
    if target.exists() and not overwrite:
        raise PasegError(f"{target} exists already: choose a different dataset ID or name, or pass --overwrite.")
    number, _, _ = plan.name.partition("_")
    if others := sorted(other.name for other in raw_folder.glob(f"{number}_*") if other != target):
        raise PasegError(
            f"{raw_folder} already contains {', '.join(others)}, and nnU-Net finds datasets by their number: choose "
            "a different dataset ID."
        )
    return target


def _convert_cases(cases: Sequence[Case], plan: DatasetPlan, folder: Path, num_processes: int) -> None:
    todo = [case for case in cases if not is_converted(folder, case)]
    with tqdm(total=len(todo), desc=f"Converting to {plan.name}", unit="case") as progress:
        for _ in _each(todo, plan, folder, num_processes):
            progress.update()


def _each(todo: Sequence[Case], plan: DatasetPlan, folder: Path, num_processes: int) -> Iterator[None]:
    """Convert the cases and yield after each."""
    if num_processes <= 1:
        for case in todo:
            convert_case(case, plan, folder)
            yield
        return
    # Spawned, because a process that has used torch's threads must not be forked.
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        jobs = [pool.submit(convert_case, case, plan, folder) for case in todo]
        try:
            for job in as_completed(jobs):
                yield job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    torch.set_num_threads(1)


def _conversion_hash(cases: Sequence[Case], plan: DatasetPlan) -> str:
    content = json.dumps([TOOL, [asdict(case) for case in cases], asdict(plan)], default=str, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _complete(folder: Path, cases: Sequence[Case], plan: DatasetPlan, target: Path) -> None:
    """Describe the dataset and give it its name. A kill at any point can be resumed."""
    if (folder / "records").exists():
        describe(folder, cases, plan)
        # Hidden in one step: partly deleted records would look like cases that are not converted.
        (folder / "records").rename(folder / ".records")
    clean_up(folder)
    move_to(folder, target)
