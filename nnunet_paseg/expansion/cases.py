"""Masks of many clicked cases: in parallel, in parts and resumable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nnunet_paseg.errors import PasegError
from nnunet_paseg.expansion.folder import MaskFolder, OutputFolder
from nnunet_paseg.expansion.plan import ExpansionPlan
from nnunet_paseg.expansion.views import load_block
from nnunet_paseg.expansion.workers import expand_cases
from nnunet_paseg.io.case_files import CaseFiles, check_channel_names, check_channels, find_case_files, label_maps
from nnunet_paseg.io.files import remove_temporaries
from nnunet_paseg.io.writing import OutputError
from nnunet_paseg.plotting.contact_sheet import contact_sheet

SHEET = "contact_sheet.png"

MAX_TARGETS = 96
"""Most targets on the contact sheet, which are those of the smallest confidence."""


@dataclass
class Result:
    """Outcome of an expansion, or of one part of it.

    Attributes:
        records: Record of every finished case, earlier ones included.
        problems: Message for every other case.
        unlisted: Masks in the output folder of cases that are not among the input files.
        sheet: Pages of the contact sheet; none while other parts are missing.
    """

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    unlisted: list[str] = field(default_factory=list)
    sheet: list[Path] = field(default_factory=list)


def expand_folder(
    images: Path,
    points: Path,
    output: Path,
    plan: ExpansionPlan,
    *,
    num_processes: int = 4,
    dask: str | None = None,
    num_parts: int = 1,
    part_id: int = 0,
    overwrite: bool = False,
) -> Result:
    """Write a mask for every case of a folder of images and a folder of points.

    A case that cannot be expanded does not stop the others. Finished cases are kept, unless their input files have
    changed.

    Args:
        images: Folder of images.
        points: Folder of points; may be the same.
        output: Folder of the masks, new or of an earlier call.
        plan: Classes, channels and network.
        num_processes: Number of cases expanded at the same time.
        dask: Address of a Dask scheduler, whose workers do the cases; None for processes of this machine.
        num_parts: Number of parts, each of which is a call of its own, possibly on a different machine.
        part_id: Index of this part, from 0.
        overwrite: Whether all cases are expanded again. Masks of other options are deleted.

    Raises:
        PasegError: A folder cannot be used, or all cases have a different number of channels.
    """
    if not 0 <= part_id < num_parts:
        raise PasegError(f"The parts are 0..{num_parts - 1}: there is no part {part_id}.")
    for source in (images, points, *([plan.masks] if plan.masks else [])):
        if output.resolve().is_relative_to(source.resolve()):
            raise PasegError(f"{output} is in the input folder {source}: name a folder outside of it.")
    cases = find_case_files(images, points)
    check_channel_names([files for files in cases if files.images], plan.channel_names)
    good, problems = _checked(cases, images, plan)
    folder, mine = OutputFolder(output, plan), {files.identifier for files in cases[part_id::num_parts]}
    result = Result(problems={case: problem for case, problem in problems.items() if case in mine})
    try:
        folder.open(overwrite=overwrite)
        todo = [files for files in good if files.identifier in mine and (overwrite or folder.finished(files) is None)]
        with tqdm(total=len(todo), desc=f"Expanding to {output}", unit="case") as progress:
            for files, problem in expand_cases(todo, folder, min(num_processes, len(todo)), dask):
                if problem is not None:
                    result.problems[files.identifier] = problem
                progress.update()
    except OutputError as error:
        raise PasegError("\n".join([f"{error} Finished cases are kept.", *result.problems.values()])) from error
    except OSError as error:
        raise PasegError(
            f"{error.filename or output} cannot be written ({error.strerror}): make room there."
        ) from error
    finished = {files.identifier: record for files in good if (record := folder.finished(files)) is not None}
    for case in {files.identifier for files in todo} - finished.keys() - result.problems.keys():
        result.problems[case] = (
            f"Case {case}: it was expanded, but its record is not in {output}, or its files have changed: run the same "
            "command again. Workers of a cluster need the same file system."
        )
    result.records = {case: record for case, record in finished.items() if case in mine}
    remove_temporaries(path for case in result.records for path in folder.files(case))
    known = {files.identifier for files in cases}
    result.unlisted = [case for case, _ in folder.records() if case not in known]
    if all(files.identifier in finished for files in good if files.identifier not in mine):
        result.sheet = draw_sheet(folder, finished)
    return result


def _checked(cases: Sequence[CaseFiles], images: Path, plan: ExpansionPlan) -> tuple[list[CaseFiles], dict[str, str]]:
    """Return the cases that have all files, and a message for each of the others."""
    good, problems = [], {}
    mask_of = {} if plan.masks is None else label_maps(plan.masks)
    for files in cases:
        case = files.identifier
        try:
            if not files.images:
                name = files.points[0].name
                raise PasegError(f"Case {case}: {images} contains no image for {name}: add it, or rename the file.")
            check_channels(files, len(plan.channel_names))
            files.point_file()
            if plan.masks is not None and case not in mask_of:
                raise PasegError(f"Case {case}: {plan.masks} contains no mask: add {case}.nii.gz.")
            good.append(replace(files, mask=mask_of.get(case)))
        except PasegError as error:
            problems[case] = str(error)
    if plan.probabilities:
        names = Counter(f"{files.identifier}_{name}" for files in good for name in plan.class_names)
        if twice := [name for name, count in names.items() if count > 1]:
            raise PasegError(
                f"Two cases would have the file of probabilities {twice[0]}.nii.gz: rename a case or a class."
            )
    return good, problems


def draw_sheet(folder: MaskFolder, records: dict[str, dict[str, Any]]) -> list[Path]:
    """Draw the targets with their clicks and masks, those of the smallest confidence first.

    Args:
        folder: Output folder.
        records: Record of every finished case.

    Returns:
        Pages of the sheet; none without a target.

    Raises:
        PasegError: The sheet cannot be drawn or written.
    """
    targets = [
        (target["confidence"], case, number)
        for case, record in records.items()
        for number, target in enumerate(record["targets"])
    ]
    try:
        blocks = []
        for confidence, case, number in sorted(targets)[:MAX_TARGETS]:
            block = load_block(folder.views(case), number)
            blocks.append(replace(block, title=f"{confidence:.2f}  {block.title}"))
        sheets = contact_sheet(blocks, folder.path / SHEET)
    except PasegError:
        raise
    except Exception as error:
        raise PasegError(
            f"{folder.path / SHEET} cannot be drawn ({type(error).__name__}: {error}), the masks are complete."
        ) from error
    for old in folder.path.glob(f"{Path(SHEET).stem}*.png"):
        if old not in sheets:
            old.unlink()
    return sheets
