"""Conversion of cases to an nnU-Net raw dataset: in parallel, resumable, and without touching existing datasets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from tqdm import tqdm

from nnunet_paseg.conversion.describe import TOOL, describe
from nnunet_paseg.conversion.plan import Case, DatasetPlan, check_cases, raise_problems
from nnunet_paseg.conversion.record import is_converted
from nnunet_paseg.conversion.staging import Staging, clean_up, move_to
from nnunet_paseg.conversion.workers import convert_cases
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.writing import OutputError


def convert(
    cases: Sequence[Case],
    plan: DatasetPlan,
    raw_folder: Path,
    *,
    num_processes: int = 4,
    overwrite: bool = False,
    dask: str | None = None,
) -> Path:
    """Write an nnU-Net raw dataset whose training labels come from points.

    All files are written to a hidden folder next to the dataset, which gets the dataset's name when it is complete.
    An interrupted conversion that is started again keeps its finished cases, unless their files have changed. A case
    that cannot be converted does not stop the others.

    Args:
        cases: Training and test cases.
        plan: Names, classes and seed parameters.
        raw_folder: Folder of raw datasets, usually ``$nnUNet_raw``.
        num_processes: Number of cases converted at the same time.
        overwrite: Whether an existing dataset of that name is replaced.
        dask: Address of a Dask scheduler, whose workers do the cases; None for processes of this machine.

    Returns:
        Folder of the dataset.

    Raises:
        PasegError: The dataset exists, or cases cannot be converted. Existing datasets stay unchanged.
    """
    target = _free_target(plan, raw_folder, overwrite)
    check_cases(cases, plan)
    plan = replace(plan, seeds=plan.seeds.with_sha256())
    staging = Staging(raw_folder, plan.name, _conversion_hash(cases, plan))
    with _output(raw_folder):
        staging.remove_others()
        folder = staging.claim_stopped()
        if folder is None:
            staging.open()
            try:
                _convert_cases(cases, plan, staging.folder, num_processes, dask)
            except PasegError:
                staging.remove_unused()
                raise
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
    dask: str | None = None,
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
        dask: Address of a Dask scheduler, whose workers do the cases; None for processes of this machine.

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
    plan = replace(plan, seeds=plan.seeds.with_sha256())
    staging = Staging(raw_folder, plan.name, _conversion_hash(cases, plan))
    with _output(raw_folder):
        if staging.claimed():
            return None
        staging.open()
        _convert_cases(cases[part_id::num_parts], plan, staging.folder, num_processes, dask)
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


def _convert_cases(
    cases: Sequence[Case], plan: DatasetPlan, folder: Path, num_processes: int, dask: str | None
) -> None:
    todo = [case for case in cases if not is_converted(folder, case)]
    problems: dict[str, str] = {}
    try:
        with tqdm(total=len(todo), desc=f"Converting to {plan.name}", unit="case") as progress:
            for case, problem in convert_cases(todo, plan, folder, num_processes, dask):
                if problem is not None:
                    problems[case.identifier] = problem
                progress.update()
    except OutputError as error:
        raise PasegError("\n".join([f"{error} Finished cases are kept.", *problems.values()])) from error
    for case in todo if dask is not None else ():
        if case.identifier not in problems and not is_converted(folder, case):
            problems[case.identifier] = (
                f"Case {case.identifier}: a worker has converted it, but not to {folder} here: workers need the same "
                "file system. If they have it, run the same command again."
            )
    raise_problems([problems[case.identifier] for case in todo if case.identifier in problems], len(cases))


@contextmanager
def _output(raw_folder: Path) -> Iterator[None]:
    """Turn errors of the operating system on the way into PasegError; those of a case are named by the case."""
    try:
        yield
    except OSError as error:
        raise PasegError(
            f"{error.filename or raw_folder}: {error.strerror or error}: make room or choose a different --raw, and "
            "run the same command again. Finished cases are kept."
        ) from error


def _conversion_hash(cases: Sequence[Case], plan: DatasetPlan) -> str:
    # Of a network the record contains the content, not the file: two networks are never mixed in one dataset.
    options = {**asdict(plan), "seeds": plan.seeds.record()}
    content = json.dumps([TOOL, [asdict(case) for case in cases], options], default=str, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _complete(folder: Path, cases: Sequence[Case], plan: DatasetPlan, target: Path) -> None:
    """Describe the dataset and give it its name. A kill at any point can be resumed."""
    if (folder / "records").exists():
        describe(folder, cases, plan)
        # Hidden in one step: partly deleted records would look like cases that are not converted.
        (folder / "records").rename(folder / ".records")
    clean_up(folder)
    move_to(folder, target)
