"""What the dataset conversion scripts share: their common arguments, and errors that are one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from nnunet_paseg.conversion.convert import convert, convert_part
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import IMAGES, group_images, label_maps
from nnunet_paseg.seeds.rules import SeedParameters


def add_seed_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the seed expansion."""
    defaults = SeedParameters()
    group = parser.add_argument_group("seeds")
    group.add_argument(
        "--seeds",
        choices=("adaptive", "paper"),
        default=defaults.rule,
        help="adapted to box and image, or as published (default: %(default)s)",
    )
    group.add_argument(
        "--threshold",
        type=float,
        help="adaptive: foreground are the nearest voxels up to this fraction of the target's likely volume "
        "(default: 0.5); paper: all nearer than this fraction of the largest distance (default: 0.2)",
    )
    group.add_argument(
        "--background",
        type=float,
        default=defaults.background,
        help="adaptive: what comes after this many times the likely volume is background; inf for none "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--weight",
        type=float,
        default=defaults.weight,
        help="of the intensity in the geodesic distance, 0 is Euclidean (default: %(default)s)",
    )
    group.add_argument(
        "--backend",
        choices=("torch", "geodistk"),
        default=defaults.backend,
        help="exact distances, or the raster scans of GeodisTK if it is installed (default: %(default)s)",
    )


def add_test_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of a folder of test cases."""
    parser.add_argument("--test-images", type=Path, help="folder of test images")
    parser.add_argument(
        "--test-masks", type=Path, help="folder of their dense masks with labels 1, 2, ..., for scoring"
    )


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of where the dataset goes and how it is made."""
    group = parser.add_argument_group("output")
    group.add_argument("--name", help="the dataset's name behind its number (default: the source's)")
    group.add_argument("--raw", type=Path, help="folder of raw datasets (default: $nnUNet_raw)")
    group.add_argument("--overwrite", action="store_true", help="replace a dataset of that number and name")
    group.add_argument("--num-processes", type=int, default=4, help="cases converted at once (default: %(default)s)")
    group.add_argument(
        "--images",
        dest="image_mode",
        choices=("copy", "link", "reference"),
        default="copy",
        help="copy images, hard-link them, or refer to them where they are (default: %(default)s)",
    )
    group.add_argument("--num-parts", type=int, help="convert one of so many parts, for several machines")
    group.add_argument("--part-id", type=int, help="which part, from 0")


def seed_parameters(arguments: argparse.Namespace) -> SeedParameters:
    """Seed parameters as the command line says."""
    return SeedParameters(
        rule=arguments.seeds,
        threshold=arguments.threshold,
        background=arguments.background,
        weight=arguments.weight,
        backend=arguments.backend,
    )


def cases_to_test(arguments: argparse.Namespace) -> list[Case]:
    """One case for every image of ``--test-images``; none without it.

    Raises:
        PasegError: a folder is missing or empty, or a case has no mask or several.
    """
    images, masks = arguments.test_images, arguments.test_masks
    if images is None:
        if masks is not None:
            raise PasegError("--test-masks are those of --test-images: give both, or neither.")
        return []
    found = group_images(images)
    if not found:
        raise PasegError(f"{images} holds no image: expected {{case}}.nii.gz (or {', '.join(IMAGES[1:])}).")
    mask_of = {} if masks is None else label_maps(masks)
    if masks is not None and (missing := sorted(found.keys() - mask_of.keys())):
        raise PasegError(f"Test case {missing[0]} has no mask in {masks}: there must be one, {missing[0]}.nii.gz.")
    return [Case(case, paths, mask=mask_of.get(case), split="test") for case, paths in found.items()]


def raw_folder(arguments: argparse.Namespace) -> Path:
    """Folder of raw datasets: ``--raw`` or nnU-Net's own environment variable.

    Raises:
        PasegError: neither is given.
    """
    if arguments.raw:
        return Path(arguments.raw)
    if "nnUNet_raw" not in os.environ:
        raise PasegError("Where should the dataset go? Set the environment variable nnUNet_raw, or pass --raw FOLDER.")
    return Path(os.environ["nnUNet_raw"])


def write_clicked(cases: Sequence[Case], arguments: argparse.Namespace, *, class_names: Sequence[str]) -> None:
    """Convert training cases that somebody has clicked, and the test cases of the command line.

    Raises:
        PasegError: as :func:`cases_to_test` and :func:`write_dataset`.
    """
    plan = DatasetPlan(
        name=f"Dataset{arguments.dataset_id:03d}_{arguments.name or 'Points'}",
        channel_names=tuple(arguments.channel_names),
        class_names=tuple(class_names),
        seeds=seed_parameters(arguments),
    )
    write_dataset([*cases, *cases_to_test(arguments)], plan, arguments)


def write_dataset(cases: Sequence[Case], plan: DatasetPlan, arguments: argparse.Namespace) -> None:
    """Convert all cases, or the part that the command line asks for, and print where the dataset is.

    Raises:
        PasegError: as :func:`nnunet_paseg.conversion.convert.convert`, or a part without the number of parts.
    """
    plan, raw = replace(plan, images=arguments.image_mode), raw_folder(arguments)
    if arguments.num_parts is None and arguments.part_id is None:
        print(convert(cases, plan, raw, num_processes=arguments.num_processes, overwrite=arguments.overwrite))
        return
    if arguments.num_parts is None or arguments.part_id is None:
        raise PasegError("--num-parts and --part-id belong together: give both.")
    folder = convert_part(
        cases,
        plan,
        raw,
        part_id=arguments.part_id,
        num_parts=arguments.num_parts,
        num_processes=arguments.num_processes,
        overwrite=arguments.overwrite,
    )
    part = f"Part {arguments.part_id} of 0..{arguments.num_parts - 1} is done"
    print(folder or f"{part}; the last one to end, or a call without --part-id, completes {plan.name}.")


def run(
    main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> int:
    """Parse, run, and print a user's error without a traceback; the exit status."""
    arguments = parser.parse_args(argv)
    try:
        main(arguments)
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
