"""Conversion of densely annotated data to point-annotated datasets, shared by the commands for public datasets.

Seven points are simulated per training target. The masks of test cases are kept for scoring. The masks of training
cases are used for their points only, or as labels with ``--dense``, the full-supervision reference.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunet_paseg.conversion.commands.common import dataset_name, seed_parameters, write_dataset
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.conversion.sources import Source
from nnunet_paseg.conversion.sources.splits import Part, assign, read_split
from nnunet_paseg.errors import PasegError


@dataclass(frozen=True)
class DenseCase:
    """A densely annotated case: one image per channel, and a mask."""

    identifier: str
    images: tuple[Path | Source, ...]
    mask: Path | Source


def add_dense_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose training and test cases and the use of their masks."""
    group = parser.add_argument_group("cases and points")
    group.add_argument(
        "--num-train", type=int, help="number of training cases to draw (default: all that are not test cases)"
    )
    group.add_argument("--num-test", type=int, default=0, help="number of test cases to draw (default: 0)")
    group.add_argument("--split-seed", type=int, help="seed of the draw (default: 0)")
    group.add_argument(
        "--split-csv", type=Path, help="file that lists the cases for training, validation and inference"
    )
    group.add_argument(
        "--unlisted",
        choices=("refuse", "skip", "training", "validation", "test"),
        help="use of the cases that the split does not list (default: refuse, an error)",
    )
    group.add_argument("--point-seed", type=int, default=0, help="seed of the simulated points (default: 0)")
    group.add_argument("--merge", metavar="NAME", help="merge all classes into one of this name")
    group.add_argument("--dense", action="store_true", help="keep the dense masks: the full-supervision reference")
    group.add_argument(
        "--dense-validation", action="store_true", help="keep the dense masks of the split's validation cases"
    )


def choose(identifiers: Sequence[str], num_train: int | None, num_test: int, seed: int) -> tuple[set[str], set[str]]:
    """Draw training and test cases without replacement.

    Raises:
        PasegError: There are too few cases.
    """
    wanted = "any" if num_train is None else num_train
    num_train = len(identifiers) - num_test if num_train is None else num_train
    if num_train < 1 or num_test < 0 or num_train + num_test > len(identifiers):
        raise PasegError(
            f"{wanted} training and {num_test} test cases cannot be drawn from {len(identifiers)}: "
            "correct --num-train and --num-test."
        )
    order = np.random.default_rng(seed).permutation(list(identifiers)).tolist()
    return set(order[:num_train]), set(order[num_train : num_train + num_test])


def convert_dense(
    found: Sequence[DenseCase],
    arguments: argparse.Namespace,
    *,
    name: str,
    channel_names: Sequence[str],
    classes: Mapping[str, Sequence[int]],
    test_cases: Sequence[Case] = (),
    crop: tuple[int, int, int] | None = None,
) -> None:
    """Convert densely annotated cases as specified on the command line.

    Args:
        found: All annotated cases.
        arguments: Parsed :func:`add_dense_arguments` and common arguments of all commands.
        name: Name of the dataset, unless ``--name`` is given.
        channel_names: One name per channel.
        classes: Mask values of each class. Classes are labelled 1, 2, ... in this order.
        test_cases: Further test cases, independent of the split.
        crop: (z, y, x) voxels to keep around every mask.

    Raises:
        PasegError: Options contradict each other, the split does not fit, or a case cannot be converted.
    """
    if arguments.merge is not None:
        classes = {arguments.merge: [value for values in classes.values() for value in values]}
    _check_options(arguments)
    parts = _parts([case.identifier for case in found], arguments)
    if arguments.dense_validation and "validation" not in parts.values():
        raise PasegError(f"{arguments.split_csv} lists no validation case: leave out --dense-validation.")
    plan = DatasetPlan(
        name=dataset_name(arguments, name),
        channel_names=tuple(channel_names),
        class_names=tuple(classes),
        mask_labels={value: label for label, values in enumerate(classes.values(), start=1) for value in values},
        seeds=seed_parameters(arguments),
        point_seed=arguments.point_seed,
        validation=tuple(case for case, part in parts.items() if part == "validation"),
        crop=crop,
    )
    cases = [_case(case, parts[case.identifier], arguments) for case in found if case.identifier in parts]
    write_dataset([*cases, *test_cases], plan, arguments)


def _check_options(arguments: argparse.Namespace) -> None:
    """Raise PasegError if an option would have no effect with the others."""
    if arguments.split_csv is None:
        for option, value in (("--unlisted", arguments.unlisted), ("--dense-validation", arguments.dense_validation)):
            if value:
                raise PasegError(f"{option} requires the split of a file: pass --split-csv, or leave it out.")
    elif arguments.num_train is not None or arguments.num_test or arguments.split_seed is not None:
        raise PasegError(
            "--split-csv determines the training and test cases: leave out --num-train, --num-test and --split-seed."
        )
    if arguments.dense and arguments.dense_validation:
        raise PasegError("--dense keeps the masks of all cases: leave out --dense-validation.")


def _case(case: DenseCase, part: Part, arguments: argparse.Namespace) -> Case:
    if part == "test":
        return Case(case.identifier, case.images, mask=case.mask, split="test")
    dense = arguments.dense or (part == "validation" and arguments.dense_validation)
    return Case(case.identifier, case.images, mask=case.mask, annotation="dense" if dense else "simulated")


def _parts(identifiers: Sequence[str], arguments: argparse.Namespace) -> dict[str, Part]:
    if arguments.split_csv is not None:
        return assign(identifiers, read_split(arguments.split_csv), unlisted=arguments.unlisted or "refuse")
    training, testing = choose(identifiers, arguments.num_train, arguments.num_test, arguments.split_seed or 0)
    parts: dict[str, Part] = {}
    for case in identifiers:
        if case in training | testing:
            parts[case] = "training" if case in training else "test"
    return parts
