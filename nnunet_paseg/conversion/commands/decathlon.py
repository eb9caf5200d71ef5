"""Convert a task of the Medical Segmentation Decathlon to an nnU-Net raw dataset with simulated points.

The task is a folder with dataset.json, imagesTr (3D images, or 4D images with the channels last) and labelsTr. Test
cases are drawn from the labelled cases, because the official test images have no masks. --official-test adds them.

Example:
    %(prog)s Task04_Hippocampus 104 --num-test 60
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunet_paseg.conversion.commands.common import add_output_arguments, add_seed_arguments
from nnunet_paseg.conversion.dense import DenseCase, add_dense_arguments, convert_dense
from nnunet_paseg.conversion.plan import Case
from nnunet_paseg.conversion.sources import Channel, Source
from nnunet_paseg.conversion.sources.descriptions import read_task
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import composed

ENDING = ".nii.gz"


def images_of(source: Path, file: str, channels: list[int], *, is_4d: bool) -> tuple[Path | Source, ...]:
    """Return the channels of an image."""
    return tuple(Channel(source / file, channel) if is_4d else source / file for channel in channels)


def choose_channels(all_names: Sequence[str], names: Sequence[str] | None) -> list[int]:
    """Return the indices of the channels called ``names``, or of all channels if None.

    Raises:
        PasegError: The task has no such channel.
    """
    by_name = {name: index for index, name in enumerate(all_names)}
    if unknown := sorted(set(names or ()) - set(by_name)):
        raise PasegError(f"The task has no channel {unknown}: its channels are {list(by_name)}.")
    return [by_name[name] for name in names] if names else list(range(len(all_names)))


def main(arguments: argparse.Namespace) -> None:
    """Convert as specified on the command line."""
    source: Path = arguments.source
    task = read_task(source)
    channels, is_4d = choose_channels(task.channels, arguments.channels), len(task.channels) > 1
    found = [
        DenseCase(_identifier(image), images_of(source, image, channels, is_4d=is_4d), source / label)
        for image, label in task.training
    ]
    test_cases = [
        Case(_identifier(image), images_of(source, image, channels, is_4d=is_4d), split="test")
        for image in (task.test if arguments.official_test else ())
    ]
    convert_dense(
        found,
        arguments,
        name=source.resolve().name.partition("_")[2] or source.resolve().name,
        channel_names=[task.channels[channel] for channel in channels],
        classes={name: [value] for name, value in task.classes.items()},
        test_cases=test_cases,
    )


def _identifier(image: str) -> str:
    return composed(Path(image).name.removesuffix(ENDING))


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
