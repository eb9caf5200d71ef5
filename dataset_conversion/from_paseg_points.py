#!/usr/bin/env python3
"""Images and PA-Seg's published label-map points to an nnU-Net raw dataset.

Images are called {case}.nii.gz, or {case}_0000.nii.gz, {case}_0001.nii.gz, ... for several channels; the points of a
case are {case}_7points.nii.gz on the same grid, with the voxel values 1 = background and 2 = foreground of the first
target, 3 and 4 of the second, and so on. Test images need no points; their dense masks, {case}.nii.gz, are optional.

Example:
    python dataset_conversion/from_paseg_points.py images points 201 --name VS --class-name tumor \
        --channel-names T2 --test-images images_test --test-masks masks_test
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nnunet_paseg.dataset import Case, DatasetPlan
from nnunet_paseg.errors import PasegError
from nnunet_paseg.script import add_output_arguments, add_seed_arguments, run, seed_parameters, write_dataset

IMAGE, POINTS = ".nii.gz", "_7points.nii.gz"


def images_of(folder: Path, case: str, channels: int) -> tuple[Path, ...]:
    """The image files of a case, one a channel."""
    single = folder / f"{case}{IMAGE}"
    if channels == 1 and single.is_file():
        return (single,)
    return tuple(folder / f"{case}_{channel:04d}{IMAGE}" for channel in range(channels))


def training_cases(images: Path, points: Path, channels: int) -> list[Case]:
    """One case for every points file.

    Raises:
        PasegError: the folder holds no points file.
    """
    files = sorted(points.glob(f"*{POINTS}"))
    if not files:
        raise PasegError(f"{points} holds no points: expected files called {{case}}{POINTS}.")
    cases = []
    for file in files:
        case = file.name.removesuffix(POINTS)
        cases.append(Case(case, images_of(images, case, channels), points=file))
    return cases


def test_cases(images: Path, masks: Path | None, channels: int) -> list[Case]:
    """One case for every image of the test folder."""
    names = {file.name.removesuffix(IMAGE) for file in images.glob(f"*{IMAGE}")}
    cases = sorted({name[:-5] if name[-5:-4] == "_" and name[-4:].isdigit() else name for name in names})
    return [
        Case(case, images_of(images, case, channels), mask=masks / f"{case}{IMAGE}" if masks else None, split="test")
        for case in cases
    ]


def main(arguments: argparse.Namespace) -> None:
    """Convert as the command line says."""
    channels = len(arguments.channel_names)
    cases = training_cases(arguments.images, arguments.points, channels)
    if arguments.test_images:
        cases += test_cases(arguments.test_images, arguments.test_masks, channels)
    plan = DatasetPlan(
        name=f"Dataset{arguments.dataset_id:03d}_{arguments.name or 'Points'}",
        channel_names=tuple(arguments.channel_names),
        class_names=(arguments.class_name,),
        mask_labels={1: 1},
        seeds=seed_parameters(arguments),
    )
    write_dataset(cases, plan, arguments)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of the training images")
    parser.add_argument("points", type=Path, help="folder of {case}_7points.nii.gz")
    parser.add_argument("dataset_id", type=int, help="number of the new dataset, 1-999")
    parser.add_argument("--test-images", type=Path, help="folder of test images")
    parser.add_argument("--test-masks", type=Path, help="folder of their dense masks, for scoring")
    parser.add_argument("--class-name", default="target", help="what the points mark (default: %(default)s)")
    parser.add_argument(
        "--channel-names", nargs="+", default=["MRI"], help="one name a channel (default: MRI); 'CT' for CT"
    )
    add_seed_arguments(parser)
    add_output_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
