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
from pathlib import Path

from nnunet_paseg.conversion.commands.common import (
    add_output_arguments,
    add_seed_arguments,
    add_test_arguments,
    write_clicked,
)
from nnunet_paseg.conversion.plan import Case
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import find_case_files, label_maps


def training_cases(images: Path, points: Path, masks: Path | None = None) -> list[Case]:
    """Return one case per point file and per mask. A case with both is trained on its mask.

    Raises:
        PasegError: A folder cannot be used, or a case has no image, or more than one point file or mask.
    """
    found = {files.identifier: files for files in find_case_files(images, points)}
    dense = label_maps(masks) if masks else {}
    if strange := sorted(case for case in dense if case not in found or not found[case].images):
        raise PasegError(f"{masks} contains masks of cases that have no image in {images}: {strange[:5]}.")
    cases, unmarked = [], []
    for case, files in found.items():
        if case in dense:
            cases.append(Case(case, files.images, mask=dense[case], annotation="dense"))
        elif not files.points:
            unmarked.append(case)
        elif not files.images:
            raise PasegError(f"Case {case}: {images} contains no image for {files.points[0].name}.")
        else:
            cases.append(Case(case, files.images, points=files.point_file()))
    if unmarked:
        print(f"{len(unmarked)} of {len(found)} images have no points and are left out: {unmarked}", file=sys.stderr)
    return cases


def main(arguments: argparse.Namespace) -> None:
    """Convert as specified on the command line."""
    cases = training_cases(arguments.images, arguments.points, arguments.masks)
    write_clicked(cases, arguments, class_names=arguments.classes)


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
