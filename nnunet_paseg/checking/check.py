"""`paseg check`: find mistakes in a folder of images and points before the conversion."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import find_case_files
from nnunet_paseg.io.cluster import add_dask_argument
from nnunet_paseg.io.executor import in_parallel
from nnunet_paseg.io.files import check_output
from nnunet_paseg.io.images import read_image
from nnunet_paseg.io.json_output import add_json_argument, print_json
from nnunet_paseg.io.names import check_names
from nnunet_paseg.io.processes import Killed
from nnunet_paseg.points.annotation_time import AnnotationTime, read_times

if TYPE_CHECKING:
    from nnunet_paseg.checking.case import CaseReport

SIDE_FILES = ("axes.txt", "labels.txt")
"""Files with settings for all point files of their folder."""
NO_TARGET = "no target, all voxels will be background"
MAX_PROBLEMS = 10
"""Most problems per case that are listed."""
MAX_NAMED = 10
"""Most cases that the summary names."""


def check_folder(
    images: Path,
    points: Path,
    class_names: Sequence[str],
    *,
    channels: int | None = None,
    num_processes: int = 1,
    dask: str | None = None,
    progress: bool = False,
) -> list[CaseReport]:
    """Check all cases.

    Args:
        images: Folder of images.
        points: Folder of points; may be the same.
        class_names: Classes of the dataset.
        channels: Number of image files per case; None for that of most cases.
        num_processes: Number of cases checked at the same time.
        dask: Address of a Dask scheduler, whose workers do the cases; None for processes of this machine.
        progress: Whether to show a progress bar on stderr.

    Returns:
        One report per case, ordered by case.

    Raises:
        PasegError: A folder is missing or empty, or a class has no name of its own.
    """
    from nnunet_paseg.checking.case import CaseReport, check_case

    check_names(class_names)
    cases = find_case_files(images, points)
    if channels is None:
        counts = [len(case.images) for case in cases if case.images]
        channels = max(set(counts), key=counts.count)
    work = partial(check_case, class_names=class_names, channels=channels)
    checked = in_parallel(work, cases, min(num_processes, len(cases)), dask=dask)
    found = {}
    for case, report in tqdm(checked, total=len(cases), desc="check", unit="case", disable=not progress):
        if isinstance(report, Killed):
            names = ", ".join(sorted(other.identifier for other in report.in_work))
            message = f"a process was killed (out of memory?) with {names} in work: check again with {report.remedy}"
            report = CaseReport(case, problems=[message])
        found[case.identifier] = report
    reports = [found[case.identifier] for case in cases]
    _mark_duplicates(reports)
    return reports


def draw_sheet(reports: Sequence[CaseReport], class_names: Sequence[str], sheet: Path) -> list[str]:
    """Draw a contact sheet of all targets.

    Args:
        reports: Findings per case.
        class_names: Classes of the dataset.
        sheet: Figure to write.

    Returns:
        One message per case that cannot be drawn.

    Raises:
        PasegError: The figure cannot be drawn or written.
    """
    from nnunet_paseg.checking.contact_sheet import cut_blocks
    from nnunet_paseg.plotting.contact_sheet import Block, contact_sheet

    blocks: list[Block] = []
    failures = []
    for report in reports:
        if not report.instances:
            continue
        try:
            blocks += cut_blocks(report.case, read_image(report.files.images[0]), report.instances, class_names)
        except Exception as error:  # a figure never costs the other findings
            failures.append(f"{report.case} is not on the sheet: {type(error).__name__}: {error}")
    try:
        contact_sheet(blocks, sheet)
    except PasegError:
        raise
    except Exception as error:
        raise PasegError(
            f"{sheet}: cannot be drawn ({type(error).__name__}: {error}); check without --sheet"
        ) from error
    return failures


def _mark_duplicates(reports: Sequence[CaseReport]) -> None:
    first: dict[str, str] = {}
    for report in reports:
        if report.digest and first.setdefault(report.digest, report.case) != report.case:
            report.problems.append(f"has the same image as {first[report.digest]}: keep one of them")


def write_corrected(reports: Sequence[CaseReport], folder: Path) -> None:
    """Write a new folder of points: corrected files as CSV, all others unchanged.

    Args:
        reports: Findings per case.
        folder: New folder.

    Raises:
        PasegError: The folder cannot be written.
    """
    from nnunet_paseg.io.files import atomic_output
    from nnunet_paseg.points.formats.csv import write_csv

    try:
        with atomic_output(folder) as temporary:
            temporary.mkdir(parents=True)
            for report in reports:
                if report.swapped is not None:
                    write_csv(report.swapped, temporary / f"{report.case}.csv")
                    continue
                for path in report.files.points:
                    (shutil.copytree if path.is_dir() else shutil.copy2)(path, temporary / path.name)
            for source in {path.parent for report in reports for path in report.files.points}:
                for name in SIDE_FILES:
                    if (source / name).is_file():
                        shutil.copy2(source / name, temporary / name)
    except OSError as error:
        raise PasegError(f"{folder}: cannot be written ({error})") from error


def format_reports(reports: Sequence[CaseReport]) -> str:
    """Format one aligned line per case, one per further problem, and a summary."""
    from nnunet_paseg.checking.plausibility import format_mm

    rows = [("case", "voxels (z, y, x)", "spacing mm", "targets", "result")]
    for report in reports:
        shape = " x ".join(str(n) for n in report.shape) if report.shape else "-"
        spacing = format_mm(report.spacing_mm) if report.spacing_mm else "-"
        targets = ", ".join(f"{count} {name}" for name, count in report.targets.items()) or "none"
        results = report.problems[:MAX_PROBLEMS] or ["ok" if report.targets else NO_TARGET]
        if more := len(report.problems) - MAX_PROBLEMS:
            results += [f"and {more} more problems"] * (more > 0)
        results += [f"warning: {warning}" for warning in report.warnings]
        rows.append((report.case, shape, spacing, targets, results[0]))
        rows += [(report.case, "", "", "", result) for result in results[1:]]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join([*(row[c].ljust(widths[c]) for c in range(4)), row[4]]) for row in rows]
    good = sum(not report.problems for report in reports)
    lines += ["", f"{len(reports)} cases: {good} ok, {len(reports) - good} with problems"]
    if empty := [report.case for report in reports if not report.targets and not report.problems]:
        rest = f" and {len(empty) - MAX_NAMED} more" if len(empty) > MAX_NAMED else ""
        lines.append(f"{NO_TARGET}: {', '.join(empty[:MAX_NAMED])}{rest}")
    return "\n".join(lines)


def to_json(
    reports: Sequence[CaseReport],
    times: AnnotationTime | None,
    *,
    sheet: Path | None,
    failures: Sequence[str],
    corrected: Path | None,
) -> dict[str, Any]:
    """Return the findings as JSON.

    Args:
        reports: Findings per case.
        times: Time of the targets that were clicked in the browser.
        sheet: Contact sheet.
        failures: Messages about cases that are not on the sheet.
        corrected: New folder of points.
    """
    return {
        "cases": {
            report.case: {
                "shape": report.shape,
                "spacing_mm": report.spacing_mm,
                "targets": report.targets,
                "problems": report.problems,
                "warnings": report.warnings,
                "swapped": report.swapped is not None,
            }
            for report in reports
        },
        "num_ok": sum(not report.problems for report in reports),
        "num_bad": sum(bool(report.problems) for report in reports),
        "annotation_seconds": None if times is None else times.total,
        "sheet": sheet,
        "sheet_problems": failures,
        "corrected_points": corrected,
    }


def format_times(times: AnnotationTime) -> str:
    """Format the time of all targets that were clicked in the browser, and the mean and median per target."""
    each = sorted(times.seconds.values())
    middle = (each[(len(each) - 1) // 2] + each[len(each) // 2]) / 2
    return (
        f"{times.total / 60:.1f} min for {len(each)} target{'s' * (len(each) > 1)} clicked in the browser, per target "
        f"{times.per_target:.0f} s in the mean, {middle:.0f} s in the median"
    )


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
    parser.add_argument(
        "--num-processes", type=int, default=1, help="number of cases checked at the same time (default: %(default)s)"
    )
    add_dask_argument(parser)
    add_json_argument(parser)
    parser.set_defaults(func=_run)


def _run(args: argparse.Namespace) -> int:
    if args.fix_lps and args.fix_lps.exists():
        raise PasegError(f"{args.fix_lps} exists already: name a new folder for the corrected points.")
    if args.sheet:
        from nnunet_paseg.plotting.figures import SUFFIXES

        check_output(args.sheet, SUFFIXES)
    channels = len(args.channel_names) if args.channel_names else None
    work = {"num_processes": args.num_processes, "dask": args.dask}
    reports = check_folder(args.images, args.points, args.classes, channels=channels, progress=True, **work)
    times = read_times(args.points)
    if not args.json:
        print(format_reports(reports), flush=True)
        if times is not None:
            print(f"annotation time: {format_times(times)}", flush=True)
    if args.fix_lps:
        write_corrected(reports, args.fix_lps)
    if args.fix_lps and not args.json:
        print(f"{sum(r.swapped is not None for r in reports)} corrected; all point files are in {args.fix_lps}")
    failures = draw_sheet(reports, args.classes, args.sheet) if args.sheet else []
    for failure in failures:
        print(failure, file=sys.stderr)
    if args.json:
        print_json(to_json(reports, times, sheet=args.sheet, failures=failures, corrected=args.fix_lps))
    return int(bool(failures) or any(report.problems for report in reports))
