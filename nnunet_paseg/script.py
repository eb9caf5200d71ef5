"""What the dataset conversion scripts share: their common arguments, and errors that are one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds import SeedParameters


def add_seed_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the seed expansion."""
    defaults = SeedParameters()
    group = parser.add_argument_group("seeds")
    group.add_argument(
        "--threshold",
        type=float,
        default=defaults.threshold,
        help="foreground seeds lie nearer than this fraction of the largest geodesic distance (default: %(default)s)",
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


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of where the dataset goes and how it is made."""
    group = parser.add_argument_group("output")
    group.add_argument("--name", help="the dataset's name behind its number (default: the source's)")
    group.add_argument("--raw", type=Path, help="folder of raw datasets (default: $nnUNet_raw)")
    group.add_argument("--overwrite", action="store_true", help="replace a dataset of that number and name")
    group.add_argument("--num-processes", type=int, default=4, help="cases converted at once (default: %(default)s)")


def seed_parameters(arguments: argparse.Namespace) -> SeedParameters:
    """Seed parameters as the command line says."""
    return SeedParameters(weight=arguments.weight, threshold=arguments.threshold, backend=arguments.backend)


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
