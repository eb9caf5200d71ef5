#!/usr/bin/env python3
"""A folder of images and a folder of points, in any format of docs/points.md, to an nnU-Net raw dataset.

Images are called {case}.nii.gz, or {case}_0000.nii.gz, {case}_0001.nii.gz, ... for several channels; points
{case}.mrk.json, {case}.fcsv, {case}.csv, {case}.tsv or {case}_7points.nii.gz, or a folder {case} of several such files.
Both may lie in one folder. Look through them first with `paseg check`. Test images need no points; their dense masks,
{case}.nii.gz, are optional.

Example:
    python dataset_conversion/from_folder.py images points 102 --name Brain --classes tumor edema --channel-names T1 T2
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nnunet_paseg.case_files import find_case_files, group_images
from nnunet_paseg.conversion import convert
from nnunet_paseg.dataset import Case, DatasetPlan
from nnunet_paseg.errors import PasegError
from nnunet_paseg.point_formats import read_points
from nnunet_paseg.point_formats.csv import write_csv
from nnunet_paseg.points import Grid
from nnunet_paseg.script import add_output_arguments, add_seed_arguments, raw_folder, run, seed_parameters


def training_cases(images: Path, points: Path) -> list[Case]:
    """One case for every point file.

    Raises:
        PasegError: a folder cannot be used, or a case has no image, or more than one point file.
    """
    cases = []
    for files in find_case_files(images, points):
        if not files.points:
            continue
        if not files.images:
            raise PasegError(f"Case {files.identifier}: {images} holds no image for {files.points[0].name}.")
        cases.append(Case(files.identifier, files.images, points=files.point_file()))
    return cases


@contextmanager
def folders_joined(cases: Sequence[Case], class_names: Sequence[str], place: Path) -> Iterator[list[Case]]:
    """Cases whose points are one file each; while the block lasts, ``place`` holds those that were a folder.

    Raises:
        PasegError: points that cannot be read.
    """
    joined = []
    try:
        for case in cases:
            if case.points is not None and case.points.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                file = place / f"{case.identifier}.csv"
                try:
                    grid = Grid.from_file(case.images[0])
                    write_csv(read_points(case.points, grid, class_names, case=case.identifier), file)
                except PasegError as error:
                    raise PasegError(f"Case {case.identifier}: {error}") from error
                case = replace(case, points=file)
            joined.append(case)
        yield joined
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_cases(images: Path, masks: Path | None) -> list[Case]:
    """One case for every image of the test folder.

    Raises:
        PasegError: a folder is missing, or a case has no mask or several.
    """
    for folder in filter(None, (images, masks)):
        if not folder.is_dir():
            raise PasegError(f"{folder}: no such folder")
    found = group_images(masks) if masks else {}
    cases = []
    for case, paths in group_images(images).items():
        mask = found.get(case, ())
        if masks and len(mask) != 1:
            raise PasegError(f"Test case {case} has {len(mask)} masks in {masks}: there must be one, {case}.nii.gz.")
        cases.append(Case(case, paths, mask=mask[0] if mask else None, split="test"))
    return cases


def main(arguments: argparse.Namespace) -> None:
    """Convert as the command line says."""
    cases = training_cases(arguments.images, arguments.points)
    if arguments.test_images:
        cases += test_cases(arguments.test_images, arguments.test_masks)
    plan = DatasetPlan(
        name=f"Dataset{arguments.dataset_id:03d}_{arguments.name or 'Points'}",
        channel_names=tuple(arguments.channel_names),
        class_names=tuple(arguments.classes),
        seeds=seed_parameters(arguments),
    )
    raw = raw_folder(arguments)
    # The same place every time, so that an interrupted conversion goes on where it was.
    with folders_joined(cases, plan.class_names, raw / f".{plan.name}.points") as joined:
        print(convert(joined, plan, raw, num_processes=arguments.num_processes, overwrite=arguments.overwrite))


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of the training images")
    parser.add_argument("points", type=Path, help="folder of the points (may be the same)")
    parser.add_argument("dataset_id", type=int, help="number of the new dataset, 1-999")
    parser.add_argument("--classes", nargs="+", default=["target"], help="what the points mark (default: target)")
    parser.add_argument(
        "--channel-names", nargs="+", default=["MRI"], help="one name a channel (default: MRI); 'CT' for CT"
    )
    parser.add_argument("--test-images", type=Path, help="folder of test images")
    parser.add_argument(
        "--test-masks", type=Path, help="folder of their dense masks with labels 1, 2, ..., for scoring"
    )
    add_seed_arguments(parser)
    add_output_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
