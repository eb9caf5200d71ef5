"""``paseg check-checkpoint``: find code in a checkpoint or a model zip of unknown origin, without executing it."""

from __future__ import annotations

import argparse
import pickle
import pickletools
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnunet_paseg.errors import PasegError

CHECKPOINT, PICKLE = (".pth", ".pt"), (".pkl", ".pickle")
DAMAGED = (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile)  # what damaged archives raise
TENSORS = {"collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"}
STORAGE = r"torch\.[A-Za-z0-9]*Storage"
"""Names of the classes and functions that every checkpoint contains."""

POSTPROCESSING = (
    "nnunetv2.postprocessing.remove_connected_components.remove_all_but_largest_component_from_segmentation"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``paseg check-checkpoint``."""
    parser = subparsers.add_parser(
        "check-checkpoint",
        help="find code in a checkpoint before nnU-Net loads it",
        description="Check that checkpoints contain tensors, numbers and text only. nnUNetv2_predict, nnUNetv2_train "
        "--c and -pretrained_weights load a checkpoint without this restriction, and execute the code in it. The "
        "check never executes it. Exit status: 0 if all files are safe to load, 1 if not.",
        epilog="example: paseg check-checkpoint checkpoint_final.pth model.zip",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="checkpoint (.pth) or model zip of nnU-Net")
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    for file in arguments.files:
        if not file.is_file():
            raise PasegError(f"{file} does not exist or is not a file: pass checkpoints or model zips.")
    problems = [problem for file in arguments.files for problem in check_file(file)]
    for problem in problems:
        print(problem)
    if not problems:
        print("ok: tensors, numbers and text only, no code.")
    return 1 if problems else 0


def check_file(file: Path) -> list[str]:
    """Check a checkpoint, or all checkpoints and pickles in a model zip.

    Args:
        file: Checkpoint or model zip.

    Returns:
        One line per problem; an empty list if nnU-Net can load the file without executing code.

    Raises:
        PasegError: The installed torch cannot load a checkpoint without executing code.
    """
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGED as error:
        return [f"{file}: neither a checkpoint of torch 1.6 or later nor a model zip ({error}): do not load it."]
    with archive:
        names = archive.namelist()
        if any(name.rsplit("/", 1)[-1] == "data.pkl" for name in names):
            # nnU-Net would install the other files of an archive that is both.
            both = [f"{file}: both a checkpoint and a model zip: do not load it."]
            return both if any(name.endswith(CHECKPOINT) for name in names) else check_checkpoint(file, str(file))
        problems = [problem for name in names for problem in _check_member(archive, name, str(file))]
        return problems if any(name.endswith(CHECKPOINT) for name in names) else [f"{file}: contains no checkpoint."]


def _check_member(archive: zipfile.ZipFile, name: str, file: str) -> list[str]:
    """Check a file in a model zip."""
    shown = f"{file}, {name}"
    if not name.endswith((*CHECKPOINT, *PICKLE)):
        return []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        try:
            with archive.open(name) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target)
        except DAMAGED as error:
            return [f"{shown}: damaged ({error}). Do not load it."]
        return check_checkpoint(copy, shown) if name.endswith(CHECKPOINT) else _check_pickle(copy, shown)


def check_checkpoint(file: Path, shown: str) -> list[str]:
    """Check a checkpoint.

    Args:
        file: Path of the checkpoint.
        shown: Name of the file in messages.

    Returns:
        One line per problem.

    Raises:
        PasegError: The installed torch cannot load a checkpoint without executing code.
    """
    import torch

    from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint

    if not hasattr(torch.serialization, "safe_globals"):
        raise PasegError(f"torch {torch.__version__} cannot check {shown}: install torch 2.5 or later.")
    with file.open("rb") as content:
        if content.read(4) != b"PK\x03\x04" or not zipfile.is_zipfile(file):
            return [f"{shown}: not a checkpoint of torch 1.6 or later: do not load it."]
    try:
        checkpoint = read_checkpoint(str(file))
    except PasegError as error:
        others = _foreign_objects(file)
        if not others:
            return [f"{shown}: damaged, or not a checkpoint ({error.__cause__}): do not load it."]
        listed = ", ".join(others[:10]) + (f" and {len(others) - 10} more" if len(others) > 10 else "")
        return [f"{shown}: contains {listed}, which nnU-Net would import and execute: do not load it."]
    if not {"network_weights", "init_args"} <= checkpoint.keys():
        return [f"{shown}: contains no code, but it is not a checkpoint of nnU-Net."]
    return []


def _foreign_objects(file: Path) -> list[str]:
    """Return the classes and functions in a checkpoint, except those of tensors and numbers; nothing is imported."""
    from nnunet_paseg.trainers.checkpoints.resume import allowed_globals

    known = TENSORS | {f"{item.__module__}.{item.__qualname__}" for item in allowed_globals()}
    found: list[str] = []
    try:
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                if name.endswith(PICKLE):
                    found += _globals(archive.read(name))
    except Exception:  # damaged from here on; what was found before is named
        pass
    return [name for name in dict.fromkeys(found) if name not in known and not re.fullmatch(STORAGE, name)]


def _globals(content: bytes) -> Iterator[str]:
    """Yield ``module.name`` of every class and function in a pickle, from its opcodes alone."""
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("GLOBAL", "INST"):
            yield ".".join(str(argument).split(" ", 1))
        elif opcode.name == "STACK_GLOBAL":  # module and name are on the stack, usually the last two strings
            yield ".".join(texts[-2:])
        elif isinstance(argument, str):
            texts.append(argument)


class _PostprocessingUnpickler(pickle.Unpickler):
    """Reads a pickle without importing anything, and accepts nnU-Net's postprocessing function alone."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        name = f"{module_name}.{global_name}"
        if name != POSTPROCESSING:
            raise pickle.UnpicklingError(f"contains {name}")
        return name


def _check_pickle(file: Path, shown: str) -> list[str]:
    """Check a pickle in a model zip, where nnU-Net stores its postprocessing."""
    try:
        with file.open("rb") as content:
            _PostprocessingUnpickler(content).load()
    except Exception as error:  # a pickle can raise anything
        return [f"{shown}: not nnU-Net's postprocessing ({error}): nnUNetv2_apply_postprocessing would execute it."]
    return []
