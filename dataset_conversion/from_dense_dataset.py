#!/usr/bin/env python3
"""A dense nnU-Net raw dataset to a point-annotated one: seven points are simulated for every training target.

The masks of the test cases are kept aside in labelsTs for scoring; those of the training cases are used for nothing
but the points (or for everything with --dense, the full-supervision reference).

Example:
    python dataset_conversion/from_dense_dataset.py $nnUNet_raw/Dataset004_Hippocampus 104 --num-train 60 --num-test 40
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Literal

import numpy as np

from nnunet_paseg.conversion import convert
from nnunet_paseg.dataset import Case, DatasetPlan
from nnunet_paseg.errors import PasegError
from nnunet_paseg.script import add_output_arguments, add_seed_arguments, raw_folder, run, seed_parameters


def read_dataset(source: Path) -> tuple[dict[str, int], dict[str, str], str]:
    """Foreground classes, channel names and file ending of a dense dataset.

    Raises:
        PasegError: no dataset.json, or a dataset of regions or with an ignore label, which is not densely labelled.
    """
    file = source / "dataset.json"
    if not file.is_file():
        raise PasegError(f"{source} is no nnU-Net raw dataset: {file} is missing.")
    content = json.loads(file.read_text())
    labels = content["labels"]
    if "ignore" in labels or not all(isinstance(value, int) for value in labels.values()):
        raise PasegError(f"{file}: only plain integer labels without 'ignore' can be converted, got {labels}.")
    return {name: value for name, value in labels.items() if value}, content["channel_names"], content["file_ending"]


def find_cases(source: Path, channels: int, ending: str, folder: str) -> list[tuple[str, tuple[Path, ...], Path]]:
    """Identifier, images and mask of every labelled case below ``images{folder}``."""
    cases = []
    for mask in sorted((source / f"labels{folder}").glob(f"*{ending}")):
        identifier = mask.name.removesuffix(ending)
        images = tuple(
            source / f"images{folder}" / f"{identifier}_{channel:04d}{ending}" for channel in range(channels)
        )
        cases.append((identifier, images, mask))
    return cases


def choose(identifiers: list[str], num_train: int | None, num_test: int, seed: int) -> tuple[set[str], set[str]]:
    """Training and test cases, drawn without replacement."""
    num_train = len(identifiers) - num_test if num_train is None else num_train
    if num_train < 1 or num_test < 0 or num_train + num_test > len(identifiers):
        raise PasegError(
            f"{num_train} training and {num_test} test cases cannot be drawn from {len(identifiers)}: "
            "correct --num-train and --num-test."
        )
    order = np.random.default_rng(seed).permutation(identifiers).tolist()
    return set(order[:num_train]), set(order[num_train : num_train + num_test])


def main(arguments: argparse.Namespace) -> None:
    """Convert as the command line says."""
    classes, channel_names, ending = read_dataset(arguments.source)
    found = find_cases(arguments.source, len(channel_names), ending, "Tr")
    training, testing = choose(
        [identifier for identifier, _, _ in found], arguments.num_train, arguments.num_test, arguments.split_seed
    )
    annotation: Literal["dense", "simulated"] = "dense" if arguments.dense else "simulated"
    cases = [
        Case(identifier, images, mask=mask, annotation=annotation, split="train" if identifier in training else "test")
        for identifier, images, mask in found
        if identifier in training | testing
    ]
    cases += [
        Case(identifier, images, mask=mask, split="test")
        for identifier, images, mask in find_cases(arguments.source, len(channel_names), ending, "Ts")
    ]
    if arguments.merge:
        class_names: tuple[str, ...] = (arguments.merge,)
        mask_labels = dict.fromkeys(classes.values(), 1)
    else:
        class_names = tuple(classes)
        mask_labels = {value: label for label, value in enumerate(classes.values(), start=1)}
    plan = DatasetPlan(
        name=f"Dataset{arguments.dataset_id:03d}_{arguments.name or arguments.source.name.partition('_')[2]}",
        channel_names=tuple(channel_names[str(channel)] for channel in range(len(channel_names))),
        class_names=class_names,
        mask_labels=mask_labels,
        seeds=seed_parameters(arguments),
        point_seed=arguments.point_seed,
    )
    print(
        convert(
            cases, plan, raw_folder(arguments), num_processes=arguments.num_processes, overwrite=arguments.overwrite
        )
    )


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="dense nnU-Net raw dataset (imagesTr, labelsTr, dataset.json)")
    parser.add_argument("dataset_id", type=int, help="number of the new dataset, 1-999")
    parser.add_argument("--num-train", type=int, help="training cases to draw (default: all that are not test cases)")
    parser.add_argument("--num-test", type=int, default=0, help="cases to keep for testing (default: 0)")
    parser.add_argument("--split-seed", type=int, default=0, help="seed of the draw (default: 0)")
    parser.add_argument("--point-seed", type=int, default=0, help="seed of the simulated points (default: 0)")
    parser.add_argument("--merge", metavar="NAME", help="merge all classes into one of this name")
    parser.add_argument("--dense", action="store_true", help="keep the dense masks: the full-supervision reference")
    add_seed_arguments(parser)
    add_output_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
