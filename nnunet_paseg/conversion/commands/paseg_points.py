r"""Convert images and PA-Seg's published label maps of points to an nnU-Net raw dataset.

Images are called {case}.nii.gz, or {case}_0000.nii.gz, {case}_0001.nii.gz, ... for several channels. The points of a
case are {case}_7points.nii.gz on the same grid, with the voxel values 1 = background and 2 = foreground of the first
target, 3 and 4 of the second, and so on. Test images need no points. Their dense masks, {case}.nii.gz, are optional.

Example:
    %(prog)s images points 201 --name VS --class-name tumor \
        --channel-names T2 --test-images images_test --test-masks masks_test
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nnunet_paseg.conversion.commands.common import (
    Found,
    add_output_arguments,
    add_seed_arguments,
    add_test_arguments,
    write_clicked,
)
from nnunet_paseg.conversion.plan import Case
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import check_channel_names, check_channels, composed, files_in, find_images

POINTS = "_7points.nii.gz"


def training_cases(images: Path, points: Path, channel_names: Sequence[str] = ("MRI",)) -> Found:
    """Return one case per points file.

    Args:
        images: Folder of images.
        points: Folder of points.
        channel_names: One name per channel.

    Raises:
        PasegError: A folder is missing, there are no points files, or all cases have a different number of channels.
    """
    files = [file for file in files_in(points) if file.name.endswith(POINTS) and file.name[0] != "."]
    marked = {composed(file.name.removesuffix(POINTS)): file for file in files}
    if not marked:
        raise PasegError(f"{points} contains no points: expected files called {{case}}{POINTS}.")
    found, result = find_images(images, marked, skip_maps=images.resolve() == points.resolve()), Found([], [])
    check_channel_names(found.values(), channel_names)
    for case, file in marked.items():
        try:
            if case not in found:
                raise PasegError(
                    f"Case {case}: {images} contains no image for {file.name}: add it, or rename the file."
                )
            check_channels(found[case], len(channel_names))
            result.cases.append(Case(case, found[case].images, points=file))
        except PasegError as error:
            result.problems.append(str(error))
    if unmarked := sorted(found.keys() - marked.keys()):
        print(f"{len(unmarked)} of {len(found)} images have no points and are left out: {unmarked}", file=sys.stderr)
    return result


def main(arguments: argparse.Namespace) -> None:
    """Convert as specified on the command line."""
    found = training_cases(arguments.images, arguments.points, arguments.channel_names)
    write_clicked(found, arguments, class_names=[arguments.class_name])


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of the training images")
    parser.add_argument("points", type=Path, help="folder of {case}_7points.nii.gz")
    parser.add_argument("dataset_id", type=int, help="ID of the new dataset, 1-999")
    add_test_arguments(parser)
    parser.add_argument("--class-name", default="target", help="class of the points (default: %(default)s)")
    parser.add_argument(
        "--channel-names", nargs="+", default=["MRI"], help="one name per channel (default: MRI); 'CT' for CT"
    )
    add_seed_arguments(parser)
    add_output_arguments(parser)
    return parser
