"""Convert a densely annotated nnU-Net raw dataset to a point-annotated one, with seven simulated points per target.

The masks of the test cases are written to labelsTs for scoring. The masks of the training cases are used for their
points only, or as labels with --dense, the full-supervision reference.

Example:
    %(prog)s $nnUNet_raw/Dataset004_Hippocampus 104 --num-train 60 --num-test 40
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from nnunet_paseg.conversion.commands.common import add_output_arguments, add_seed_arguments
from nnunet_paseg.conversion.dense import DenseCase, add_dense_arguments, convert_dense
from nnunet_paseg.conversion.plan import Case
from nnunet_paseg.errors import PasegError

KEYS = ("channel_names", "labels", "file_ending")


def read_dataset(source: Path) -> tuple[dict[str, int], dict[str, str], str]:
    """Read foreground classes, channel names and file ending of a densely annotated dataset.

    Raises:
        PasegError: There is no dataset.json, it has a different form, or the dataset has regions or an ignore label
            and is not densely annotated.
    """
    file = source / "dataset.json"
    if not file.is_file():
        raise PasegError(f"{source} is no nnU-Net raw dataset: {file} is missing.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PasegError(f"{file} is no JSON ({error}): restore it from the source of the dataset.") from error
    if not isinstance(content, dict) or not all(content.get(key) for key in KEYS):
        found = sorted(content) if isinstance(content, dict) else f"a {type(content).__name__}"
        hint = "; for a task of the Decathlon use `paseg convert decathlon`" if "modality" in found else ""
        raise PasegError(
            f"{file} is not that of an nnU-Net raw dataset: expected the keys {list(KEYS)}, found {found}{hint}."
        )
    labels, channels = content["labels"], content["channel_names"]
    if not isinstance(channels, dict) or set(channels) != {str(number) for number in range(len(channels))}:
        raise PasegError(f"{file}: the channels must be called by their numbers from 0, got {channels}.")
    if (
        not isinstance(labels, dict)
        or "ignore" in labels
        or not all(isinstance(value, int) for value in labels.values())
    ):
        raise PasegError(f"{file}: only plain integer labels without 'ignore' can be converted, got {labels}.")
    return {name: value for name, value in labels.items() if value}, channels, content["file_ending"]


def find_cases(source: Path, channels: int, ending: str, folder: str) -> list[DenseCase]:
    """Find all annotated cases below ``images{folder}``."""
    cases = []
    for mask in sorted((source / f"labels{folder}").glob(f"*{ending}")):
        identifier = mask.name.removesuffix(ending)
        images = tuple(
            source / f"images{folder}" / f"{identifier}_{channel:04d}{ending}" for channel in range(channels)
        )
        cases.append(DenseCase(identifier, images, mask))
    return cases


def main(arguments: argparse.Namespace) -> None:
    """Convert as specified on the command line."""
    source: Path = arguments.source
    classes, channel_names, ending = read_dataset(source)
    convert_dense(
        find_cases(source, len(channel_names), ending, "Tr"),
        arguments,
        name=source.resolve().name.partition("_")[2] or source.resolve().name,
        channel_names=[channel_names[str(channel)] for channel in range(len(channel_names))],
        classes={name: [value] for name, value in classes.items()},
        test_cases=[
            Case(case.identifier, case.images, mask=case.mask, split="test")
            for case in find_cases(source, len(channel_names), ending, "Ts")
        ],
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "source", type=Path, help="densely annotated nnU-Net raw dataset (imagesTr, labelsTr, dataset.json)"
    )
    parser.add_argument("dataset_id", type=int, help="ID of the new dataset, 1-999")
    add_dense_arguments(parser)
    add_seed_arguments(parser)
    add_output_arguments(parser)
    return parser
