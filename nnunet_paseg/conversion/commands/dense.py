"""Convert a densely annotated nnU-Net raw dataset to a point-annotated one, with seven simulated points per target.

The masks of the test cases are written to labelsTs for scoring. The masks of the training cases are used for their
points only, or as labels with --dense, the full-supervision reference.

Example:
    %(prog)s $nnUNet_raw/Dataset004_Hippocampus 104 --num-train 60 --num-test 40
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nnunet_paseg.conversion.commands.common import add_output_arguments, add_seed_arguments
from nnunet_paseg.conversion.dense import DenseCase, add_dense_arguments, convert_dense
from nnunet_paseg.conversion.plan import Case
from nnunet_paseg.conversion.sources.descriptions import read_dense_dataset
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import composed


def find_cases(source: Path, channels: int, ending: str, folder: str) -> list[DenseCase]:
    """Find all annotated cases below ``images{folder}``."""
    cases = []
    for mask in sorted((source / f"labels{folder}").glob(f"[!.]*{ending}")):
        identifier = mask.name.removesuffix(ending)
        images = tuple(
            source / f"images{folder}" / f"{identifier}_{channel:04d}{ending}" for channel in range(channels)
        )
        cases.append(DenseCase(composed(identifier), images, mask))
    return cases


def main(arguments: argparse.Namespace) -> None:
    """Convert as specified on the command line."""
    source: Path = arguments.source
    dataset = read_dense_dataset(source)
    channels, ending = len(dataset.channels), dataset.ending
    if dataset.elsewhere is None:
        found = find_cases(source, channels, ending, "Tr")
    else:
        found = [DenseCase(composed(case), *files) for case, files in sorted(dataset.elsewhere.items())]
    if not found:
        raise PasegError(f"{source / 'labelsTr'} contains no mask: expected {{case}}{ending}.")
    convert_dense(
        found,
        arguments,
        name=source.resolve().name.partition("_")[2] or source.resolve().name,
        channel_names=dataset.channels,
        classes={name: [value] for name, value in dataset.classes.items()},
        test_cases=[
            Case(case.identifier, case.images, mask=case.mask, split="test")
            for case in find_cases(source, channels, ending, "Ts")
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
