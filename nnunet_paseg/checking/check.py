"""`paseg check`: find mistakes in a folder of images and points before the conversion."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import CaseFiles, find_case_files
from nnunet_paseg.io.files import check_output
from nnunet_paseg.io.images import read_image

if TYPE_CHECKING:
    from nnunet_paseg.checking.case import CaseReport
    from nnunet_paseg.checking.contact_sheet import Block

SIDE_FILES = ("axes.txt", "labels.txt")
"""Files with settings for all point files of their folder."""


def check_folder(
    images: Path,
    points: Path,
    class_names: Sequence[str],
    *,
    channels: int | None = None,
    sheet: Path | None = None,
    fix_lps: Path | None = None,
    progress: bool = False,
) -> list[CaseReport]:
    """Check all cases.

    Args:
        images: Folder of images.
        points: Folder of points; may be the same.
        class_names: Classes of the dataset.
        channels: Number of image files per case; None for that of most cases.
        sheet: Figure of all targets to draw.
        fix_lps: New folder for all point files; files with LPS and RAS swapped are corrected.
        progress: Whether to show a progress bar on stderr.

    Returns:
        One report per case, ordered by case.

    Raises:
        PasegError: A folder is missing or empty, or an output cannot be written.
    """
    from nnunet_paseg.checking.case import check_case

    cases = find_case_files(images, points)
    if fix_lps is not None and fix_lps.exists():
        raise PasegError(f"{fix_lps} exists already: name a new folder for the corrected points.")
    if sheet is not None:
        from nnunet_paseg.checking.contact_sheet import contact_sheet
        from nnunet_paseg.plotting.figures import SUFFIXES

        check_output(sheet, SUFFIXES)
    if channels is None:
        counts = [len(case.images) for case in cases if case.images]
        channels = max(set(counts), key=counts.count)
    reports: list[CaseReport] = []
    blocks: list[Block] = []
    for case in tqdm(cases, desc="check", unit="case", disable=not progress):
        reports.append(check_case(case, class_names, channels=channels))
        if sheet is not None and reports[-1].instances:
            blocks += _blocks(case, reports[-1], class_names)
    _mark_duplicates(reports)
    if sheet is not None:
        contact_sheet(blocks, sheet)
    if fix_lps is not None:
        write_corrected(cases, reports, fix_lps)
    return reports


def _blocks(case: CaseFiles, report: CaseReport, class_names: Sequence[str]) -> list[Block]:
    from nnunet_paseg.checking.contact_sheet import cut_blocks

    return cut_blocks(report.case, read_image(case.images[0]), report.instances, class_names)


def _mark_duplicates(reports: Sequence[CaseReport]) -> None:
    first: dict[str, str] = {}
    for report in reports:
        if report.digest and first.setdefault(report.digest, report.case) != report.case:
            report.problems.append(f"has the same image as {first[report.digest]}: keep one of them")


def write_corrected(cases: Sequence[CaseFiles], reports: Sequence[CaseReport], folder: Path) -> None:
    """Write a new folder of points: corrected files as CSV, all others unchanged.

    Args:
        cases: Files of the cases.
        reports: Findings, in the same order.
        folder: New folder.

    Raises:
        PasegError: The folder cannot be written.
    """
    from nnunet_paseg.io.files import atomic_output
    from nnunet_paseg.points.formats.csv import write_csv

    try:
        with atomic_output(folder) as temporary:
            temporary.mkdir(parents=True)
            for case, report in zip(cases, reports, strict=True):
                if report.swapped is not None:
                    write_csv(report.swapped, temporary / f"{case.identifier}.csv")
                    continue
                for path in case.points:
                    (shutil.copytree if path.is_dir() else shutil.copy2)(path, temporary / path.name)
            for source in {path.parent for case in cases for path in case.points}:
                for name in SIDE_FILES:
                    if (source / name).is_file():
                        shutil.copy2(source / name, temporary / name)
    except OSError as error:
        raise PasegError(f"{folder}: cannot be written ({error})") from error


def format_reports(reports: Sequence[CaseReport]) -> str:
    """Format one aligned line per case, one per further problem, and a summary."""
    rows = [("case", "voxels (z, y, x)", "spacing mm", "targets", "result")]
    for report in reports:
        shape = " x ".join(str(n) for n in report.shape) if report.shape else "-"
        spacing = " x ".join(f"{s:.2f}" for s in report.spacing_mm) if report.spacing_mm else "-"
        targets = ", ".join(f"{count} {name}" for name, count in report.targets.items()) or "none"
        rows.append((report.case, shape, spacing, targets, report.problems[0] if report.problems else "ok"))
        rows += [(report.case, "", "", "", problem) for problem in report.problems[1:]]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join([*(row[c].ljust(widths[c]) for c in range(4)), row[4]]) for row in rows]
    good = sum(not report.problems for report in reports)
    lines += ["", f"{len(reports)} cases: {good} ok, {len(reports) - good} with problems"]
    if empty := [report.case for report in reports if not report.targets and not report.problems]:
        lines.append(f"no target, all voxels will be background: {', '.join(empty)}")
    return "\n".join(lines)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg check`."""
    parser = subparsers.add_parser(
        "check",
        help="find mistakes in images and points before the conversion",
        description="Check a folder of images and points. Report points outside the image or the box of their target, "
        "LPS and RAS swapped, implausible boxes, different grids, missing, truncated, constant or duplicate images. "
        "Exit status: 0 no problems, 1 problems in some cases, 2 a folder cannot be used.",
        epilog="example: paseg check images points --classes tumor edema --sheet check.png",
    )
    parser.add_argument("images", type=Path, help="folder of images: CASE.nii.gz, or CASE_0000.nii.gz and so on")
    parser.add_argument("points", type=Path, help="folder of points (may be the same): CASE.mrk.json, CASE.csv, ...")
    parser.add_argument("--classes", nargs="+", default=["target"], help="classes of the dataset (default: target)")
    parser.add_argument(
        "--channel-names", nargs="+", help="one name per channel (default: as many channels as most cases have)"
    )
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="figure to write, with slices through all targets")
    parser.add_argument(
        "--fix-lps",
        type=Path,
        metavar="FOLDER",
        help="new folder for all point files; files with LPS and RAS swapped are corrected",
    )
    parser.set_defaults(func=_run)


def _run(args: argparse.Namespace) -> int:
    reports = check_folder(
        args.images,
        args.points,
        args.classes,
        channels=len(args.channel_names) if args.channel_names else None,
        sheet=args.sheet,
        fix_lps=args.fix_lps,
        progress=True,
    )
    print(format_reports(reports))
    if args.fix_lps:
        print(f"{sum(r.swapped is not None for r in reports)} corrected; all point files are in {args.fix_lps}")
    return int(any(report.problems for report in reports))
