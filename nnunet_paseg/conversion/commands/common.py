"""Common arguments of all conversion commands, and what they do with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nnunet_paseg.conversion.convert import convert, convert_part
from nnunet_paseg.conversion.plan import Case, DatasetPlan, raise_problems
from nnunet_paseg.conversion.probability_maps import PROBABILITIES, PSEUDO_LABELS
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import IMAGES, check_channel_names, check_channels, find_images, label_maps
from nnunet_paseg.io.cluster import add_dask_argument
from nnunet_paseg.io.console import replace_unprintable
from nnunet_paseg.io.nnunet_folders import nnunet_folder
from nnunet_paseg.seeds.rules import DEFAULTS, SeedParameters


def add_seed_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the seed expansion."""
    learned, paper = DEFAULTS["learned"], DEFAULTS["paper"]
    group = parser.add_argument_group("seeds")
    group.add_argument(
        "--seeds",
        choices=tuple(DEFAULTS),
        default=SeedParameters().rule,
        help="expansion by a network that is trained on synthetic targets, or as published (default: %(default)s)",
    )
    group.add_argument(
        "--foreground-probability",
        type=float,
        metavar="P",
        help="learned: voxels with a higher probability become foreground "
        f"(default: {learned['foreground_probability']})",
    )
    group.add_argument(
        "--background-probability",
        type=float,
        metavar="P",
        help="learned: voxels with a lower probability become background, 0 for none in the boxes "
        f"(default: {learned['background_probability']})",
    )
    group.add_argument(
        "--expander",
        type=Path,
        metavar="FILE",
        help="learned: weights of a network of your own (default: those of this package)",
    )
    group.add_argument(
        "--pseudo-labels",
        action="store_true",
        help=f"learned: also write the network's masks (p > 0.5) to {PSEUDO_LABELS}, from which stage 2 then starts",
    )
    group.add_argument(
        "--keep-probabilities",
        action="store_true",
        help=f"learned: also write the probabilities to {PROBABILITIES}, 0 to 255 in {{case}}_{{label}}.nii.gz",
    )
    group.add_argument(
        "--threshold",
        type=float,
        help="paper: voxels nearer than this fraction of the largest distance become foreground "
        f"(default: {paper['threshold']})",
    )
    group.add_argument(
        "--weight",
        type=float,
        help=f"paper: weight of the intensity in the geodesic distance, 0 is Euclidean (default: {paper['weight']})",
    )
    group.add_argument(
        "--backend",
        choices=("torch", "geodistk"),
        help="paper: exact distances, or the raster scans of GeodisTK if it is installed "
        f"(default: {paper['backend']})",
    )


def add_test_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for folders of test cases."""
    parser.add_argument("--test-images", type=Path, help="folder of test images")
    parser.add_argument(
        "--test-masks", type=Path, help="folder of dense masks (labels 1, 2, ...) of all test images, for scoring"
    )


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for the output and the work."""
    group = parser.add_argument_group("output")
    group.add_argument("--name", help="name of the dataset after its ID (default: the name of the source)")
    group.add_argument("--raw", type=Path, help="folder of raw datasets (default: $nnUNet_raw)")
    group.add_argument("--overwrite", action="store_true", help="replace an existing dataset of that ID and name")
    group.add_argument(
        "--num-processes", type=int, default=4, help="number of cases converted at the same time (default: %(default)s)"
    )
    add_dask_argument(group)
    group.add_argument(
        "--images",
        dest="image_mode",
        choices=("copy", "link", "reference"),
        default="copy",
        help="copy images, hard-link them, or reference them in place (default: %(default)s)",
    )
    group.add_argument("--num-parts", type=int, help="number of parts, for several machines")
    group.add_argument("--part-id", type=int, help="index of this part, from 0")


def seed_parameters(arguments: argparse.Namespace) -> SeedParameters:
    """Return the seed parameters of the command line."""
    return SeedParameters(
        rule=arguments.seeds,
        foreground_probability=arguments.foreground_probability,
        background_probability=arguments.background_probability,
        expander=arguments.expander,
        threshold=arguments.threshold,
        weight=arguments.weight,
        backend=arguments.backend,
    )


class Found(NamedTuple):
    """The cases of some folders.

    Attributes:
        cases: Cases that have all files.
        problems: Message for every other case.
    """

    cases: list[Case]
    problems: list[str]


def cases_to_test(arguments: argparse.Namespace) -> Found:
    """Return one case per image of ``--test-images``, or none without it.

    Raises:
        PasegError: A folder is missing or empty, or all cases have a different number of channels.
    """
    images, masks = arguments.test_images, arguments.test_masks
    if images is None:
        if masks is not None:
            raise PasegError("--test-masks requires --test-images: pass both, or neither.")
        return Found([], [])
    mask_of = {} if masks is None else label_maps(masks)
    found, result = find_images(images, mask_of), Found([], [])
    if not found:
        raise PasegError(f"{images} contains no image: expected {{case}}.nii.gz (or {', '.join(IMAGES[1:])}).")
    check_channel_names(found.values(), arguments.channel_names)
    for case, files in found.items():
        try:
            check_channels(files, len(arguments.channel_names))
            if masks is not None and case not in mask_of:
                raise PasegError(f"Test case {case} has no mask in {masks}: add {case}.nii.gz.")
            result.cases.append(Case(case, files.images, mask=mask_of.get(case), split="test"))
        except PasegError as error:
            result.problems.append(str(error))
    return result


def dataset_name(arguments: argparse.Namespace, default: str) -> str:
    """Return nnU-Net's name of the dataset, ``DatasetXXX_Name``.

    Args:
        arguments: Parsed arguments.
        default: Name unless ``--name`` is given.

    Raises:
        PasegError: The ID does not have one to three digits, so that nnU-Net would read a different one.
    """
    if not 1 <= arguments.dataset_id <= 999:
        raise PasegError(f"The dataset ID is {arguments.dataset_id}: choose one from 1 to 999.")
    return f"Dataset{arguments.dataset_id:03d}_{arguments.name or default}"


def raw_folder(arguments: argparse.Namespace) -> Path:
    """Return the folder of raw datasets: ``--raw`` or nnU-Net's environment variable.

    Raises:
        PasegError: Neither is set, or the variable starts with "~".
    """
    if arguments.raw:
        return Path(arguments.raw)
    if (folder := nnunet_folder("nnUNet_raw")) is None:
        raise PasegError("No folder of raw datasets: set the environment variable nnUNet_raw, or pass --raw FOLDER.")
    return folder


def write_clicked(training: Found, arguments: argparse.Namespace, *, class_names: Sequence[str]) -> None:
    """Convert training cases with clicked points, and the test cases of the command line.

    Raises:
        PasegError: As in :func:`cases_to_test` and :func:`write_dataset`, or cases lack files. Lists every bad case.
    """
    testing = cases_to_test(arguments)
    cases, problems = training.cases + testing.cases, training.problems + testing.problems
    raise_problems(problems, len(cases) + len(problems))
    plan = DatasetPlan(
        name=dataset_name(arguments, "Points"),
        channel_names=tuple(arguments.channel_names),
        class_names=tuple(class_names),
        seeds=seed_parameters(arguments),
    )
    write_dataset(cases, plan, arguments)


def write_dataset(cases: Sequence[Case], plan: DatasetPlan, arguments: argparse.Namespace) -> None:
    """Convert all cases, or the part of the command line, and print the folder of the dataset.

    Raises:
        PasegError: As in :func:`nnunet_paseg.conversion.convert.convert`, or only one of two part options is given.
    """
    outputs = {"pseudo_labels": arguments.pseudo_labels, "keep_probabilities": arguments.keep_probabilities}
    plan, raw = replace(plan, images=arguments.image_mode, **outputs), raw_folder(arguments)
    work = {name: getattr(arguments, name) for name in ("num_processes", "overwrite", "dask")}
    if arguments.num_parts is None and arguments.part_id is None:
        print(convert(cases, plan, raw, **work))
        return
    if arguments.num_parts is None or arguments.part_id is None:
        raise PasegError("--num-parts and --part-id belong together: pass both.")
    folder = convert_part(
        cases,
        plan,
        raw,
        part_id=arguments.part_id,
        num_parts=arguments.num_parts,
        **work,
    )
    part = f"Part {arguments.part_id} of 0..{arguments.num_parts - 1} is done"
    print(folder or f"{part}; the last part to end, or a call without --part-id, completes {plan.name}.")


def run(
    main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> int:
    """Parse and run a script, print a PasegError as one line, and return the exit status."""
    replace_unprintable()
    arguments = parser.parse_args(argv)
    try:
        main(arguments)
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
