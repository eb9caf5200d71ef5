r"""Convert the training data of BraTS 2019, 2020 or 2021 to an nnU-Net raw dataset with simulated points.

Every case is a folder with the files {case}_flair, _t1, _t1ce, _t2 and _seg (.nii.gz or .nii), below HGG and LGG
in 2019. PA-Seg was trained on Flair alone and on the whole tumour: --channels flair --merge tumor.

Example:
    %(prog)s MICCAI_BraTS_2019_Data_Training 111 --channels flair --merge tumor \
        --split-csv split_BraTS.csv --unlisted test
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from nnunet_paseg.conversion.commands.common import add_output_arguments, add_seed_arguments
from nnunet_paseg.conversion.dense import DenseCase, add_dense_arguments, convert_dense
from nnunet_paseg.conversion.plan import raise_problems
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import check_folder

CHANNELS = {"flair": "FLAIR", "t1": "T1", "t1ce": "T1ce", "t2": "T2"}
CLASSES = {"necrosis": [1], "edema": [2], "enhancing": [4]}
CASE = re.compile(r"BraTS(19|20|2021)_\w+")


def find_cases(source: Path, channels: list[str]) -> list[DenseCase]:
    """Find all cases with their files.

    Raises:
        PasegError: The folder is not that dataset, or a case lacks a file.
    """
    check_folder(source)
    folders = [folder for level in ("*", "*/*") for folder in sorted(source.glob(level)) if folder.is_dir()]
    folders = [folder for folder in folders if CASE.fullmatch(folder.name)]
    if not folders:
        names = sorted(path.name for path in source.iterdir())[:5]
        raise PasegError(
            f"{source} is not BraTS 2019, 2020 or 2021: expected folders BraTS19_... (below HGG and LGG), "
            f"BraTS20_Training_001, ... or BraTS2021_00000, ..., found {names}."
        )
    cases, problems = [], []
    for folder in folders:
        try:
            images = tuple(_file(folder, channel) for channel in channels)
            cases.append(DenseCase(folder.name, images, _file(folder, "seg")))
        except PasegError as error:
            problems.append(str(error))
    raise_problems(problems, len(folders))
    return cases


def _file(folder: Path, kind: str) -> Path:
    for ending in (".nii.gz", ".nii"):
        path = folder / f"{folder.name}_{kind}{ending}"
        if path.exists():
            return path
    missing = f"{folder.name}_{kind}.nii.gz"
    hint = "; only the training data have masks" if kind == "seg" else ""
    raise PasegError(
        f"Case {folder.name}: {folder} lacks {missing}, found {sorted(path.name for path in folder.iterdir())}: "
        f"download or rename it{hint}."
    )


def main(arguments: argparse.Namespace) -> None:
    """Convert as specified on the command line."""
    convert_dense(
        find_cases(arguments.source, arguments.channels),
        arguments,
        name="BraTS",
        channel_names=[CHANNELS[channel] for channel in arguments.channels],
        classes=CLASSES,
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with one folder per case, or with HGG and LGG")
    parser.add_argument("dataset_id", type=int, help="ID of the new dataset, 1-999")
    parser.add_argument(
        "--channels",
        nargs="+",
        choices=list(CHANNELS),
        default=list(CHANNELS),
        help="channels to use (default: all four)",
    )
    add_dense_arguments(parser)
    add_seed_arguments(parser)
    add_output_arguments(parser)
    return parser
