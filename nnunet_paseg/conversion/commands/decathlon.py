"""Convert a task of the Medical Segmentation Decathlon to an nnU-Net raw dataset with simulated points.

The task is a folder with dataset.json, imagesTr (3D images, or 4D images with the channels last) and labelsTr. Test
cases are drawn from the labelled cases, because the official test images have no masks. --official-test adds them.

Example:
    %(prog)s Task04_Hippocampus 104 --num-test 60
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from nnunet_paseg.conversion.commands.common import add_output_arguments, add_seed_arguments
from nnunet_paseg.conversion.dense import DenseCase, add_dense_arguments, convert_dense
from nnunet_paseg.conversion.plan import Case
from nnunet_paseg.conversion.sources import Channel, Source
from nnunet_paseg.errors import PasegError

ENDING = ".nii.gz"
KEYS = ("modality", "labels", "training")


def read_task(source: Path) -> dict[str, Any]:
    """Read the dataset.json of a task.

    Raises:
        PasegError: The folder is no task of the Decathlon.
    """
    file = source / "dataset.json"
    if not file.is_file():
        raise PasegError(f"{source} is no task of the Medical Segmentation Decathlon: {file} is missing.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PasegError(f"{file} is no JSON ({error}): download the task again.") from error
    if isinstance(content, dict) and "channel_names" in content:
        raise PasegError(f"{source} is an nnU-Net raw dataset: use `paseg convert dense`.")
    if not isinstance(content, dict) or not all(content.get(key) for key in KEYS):
        raise PasegError(
            f"{file} is not that of a Medical Segmentation Decathlon task: expected the keys {list(KEYS)}, found "
            f"{sorted(content)}."
        )
    return content


def images_of(source: Path, file: str, channels: list[int], *, is_4d: bool) -> tuple[Path | Source, ...]:
    """Return the channels of an image."""
    return tuple(Channel(source / file, channel) if is_4d else source / file for channel in channels)


def choose_channels(modality: dict[str, str], names: list[str] | None) -> list[int]:
    """Return the indices of the channels called ``names``, or of all channels if None.

    Raises:
        PasegError: The task has no such channel.
    """
    by_name = {name: int(index) for index, name in modality.items()}
    if unknown := sorted(set(names or ()) - set(by_name)):
        raise PasegError(f"The task has no channel {unknown}: its channels are {list(by_name)}.")
    return [by_name[name] for name in names or by_name]


def main(arguments: argparse.Namespace) -> None:
    """Convert as specified on the command line."""
    source: Path = arguments.source
    content = read_task(source)
    modality = content["modality"]
    channels, is_4d = choose_channels(modality, arguments.channels), len(modality) > 1
    found = [
        DenseCase(
            Path(item["image"]).name.removesuffix(ENDING),
            images_of(source, item["image"], channels, is_4d=is_4d),
            source / item["label"],
        )
        for item in content["training"]
    ]
    test_cases = []
    for item in content.get("test", []) if arguments.official_test else []:
        images = images_of(source, item, channels, is_4d=is_4d)
        test_cases.append(Case(Path(item).name.removesuffix(ENDING), images, split="test"))
    convert_dense(
        found,
        arguments,
        name=source.resolve().name.partition("_")[2] or source.resolve().name,
        channel_names=[modality[str(channel)] for channel in channels],
        classes={name: [int(value)] for value, name in content["labels"].items() if int(value)},
        test_cases=test_cases,
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of the task (dataset.json, imagesTr, labelsTr)")
    parser.add_argument("dataset_id", type=int, help="ID of the new dataset, 1-999")
    parser.add_argument("--channels", nargs="+", metavar="NAME", help="channels to use (default: all)")
    parser.add_argument(
        "--official-test", action="store_true", help="add the task's unlabelled test images to imagesTs"
    )
    add_dense_arguments(parser)
    add_seed_arguments(parser)
    add_output_arguments(parser)
    return parser
