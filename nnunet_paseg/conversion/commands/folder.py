"""Convert a folder of images and a folder of points, in any supported format, to an nnU-Net raw dataset.

Images are called {case}.nii.gz, or {case}_0000.nii.gz, {case}_0001.nii.gz, ... for several channels. Points are called
{case}.mrk.json, {case}.fcsv, {case}.csv, {case}.tsv or {case}_7points.nii.gz, or are in a folder {case} of several such
files. Both may be in the same folder. Check them first with `paseg check`. Training images with a dense mask,
{case}.nii.gz in the folder of --masks, are trained on it and need no points. Test images need no points, and their
masks are optional.

Example:
    %(prog)s images points 102 --name Brain --classes tumor edema --channel-names T1 T2
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
from nnunet_paseg.io.case_files import CaseFiles, check_channel_names, check_channels, find_case_files, label_maps


def training_cases(
    images: Path, points: Path, masks: Path | None = None, channel_names: Sequence[str] = ("MRI",)
) -> Found:
    """Return one case per point file and per mask. A case with both is trained on its mask.

    Args:
        images: Folder of images.
        points: Folder of points.
        masks: Folder of dense masks.
        channel_names: One name per channel.

    Raises:
        PasegError: A folder cannot be used, or all cases have a different number of channels.
    """
    found = {files.identifier: files for files in find_case_files(images, points)}
    dense = label_maps(masks) if masks else {}
    check_channel_names([files for files in found.values() if files.images], channel_names)
    result, unmarked = Found([], []), []
    for case in sorted({*found, *dense}):
        files = found.get(case, CaseFiles(case))
        try:
            if not files.images:
                first = dense[case] if case in dense else files.points[0]
                raise PasegError(
                    f"Case {case}: {images} contains no image for {first.name}: add it, or rename the file."
                )
            if case not in dense and not files.points:
                unmarked.append(case)
                continue
            check_channels(files, len(channel_names))
            if case in dense:
                result.cases.append(Case(case, files.images, mask=dense[case], annotation="dense"))
            else:
                result.cases.append(Case(case, files.images, points=files.point_file()))
        except PasegError as error:
            result.problems.append(str(error))
    if unmarked:
        print(f"{len(unmarked)} of {len(found)} images have no points and are left out: {unmarked}", file=sys.stderr)
    return result


def main(arguments: argparse.Namespace) -> None:
    """Convert as specified on the command line."""
    found = training_cases(arguments.images, arguments.points, arguments.masks, arguments.channel_names)
    write_clicked(found, arguments, class_names=arguments.classes)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of the training images")
    parser.add_argument("points", type=Path, help="folder of the points (may be the same)")
    parser.add_argument("dataset_id", type=int, help="ID of the new dataset, 1-999")
    parser.add_argument("--classes", nargs="+", default=["target"], help="classes of the points (default: target)")
    parser.add_argument(
        "--channel-names", nargs="+", default=["MRI"], help="one name per channel (default: MRI); 'CT' for CT"
    )
    parser.add_argument(
        "--masks",
        type=Path,
        help="folder of dense masks (labels 1, 2, ...) of some training images, which then need no points",
    )
    add_test_arguments(parser)
    add_seed_arguments(parser)
    add_output_arguments(parser)
    return parser
