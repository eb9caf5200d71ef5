"""What is wrong with the folders of nnU-Net and the machine: rights, free space, shared memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.nnunet_folders import nnunet_folder
from nnunet_paseg.nnunet.installation import Fault

FOLDERS = {"nnUNet_raw": False, "nnUNet_preprocessed": True, "nnUNet_results": True}
"""Variables of nnU-Net, and whether a training writes to their folder."""
MIN_FREE_GB = 3.0
"""Space for the checkpoints of one fold: three of 0.75 GB in stage 2, with nnU-Net's default network."""
SHARED_MEMORY = Path("/dev/shm")
MIN_SHARED_GB = 1.0
"""Space for the batches that nnU-Net's workers prepare; a container has 0.06 GB unless told otherwise."""


def folder_faults() -> Iterator[Fault]:
    """Yield the faults of nnU-Net's three folders: not set, missing, read-only, full."""
    for variable, is_written in FOLDERS.items():
        try:
            folder = nnunet_folder(variable)
        except PasegError as error:
            yield Fault(str(error).removesuffix("."))
            continue
        if folder is None:
            yield Fault(f"{variable} is not set: export {variable}=FOLDER")
        elif not folder.is_dir():
            yield Fault(f"{variable} is {folder}, which is not a folder: mkdir -p {folder}, or correct the variable")
        else:
            yield from _writing_faults(variable, folder, is_written)


def _writing_faults(variable: str, folder: Path, is_written: bool) -> Iterator[Fault]:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if is_written:
            yield Fault(
                f"{variable} is {folder}, which cannot be written ({error.strerror}): change its rights, or choose a "
                "different folder"
            )
        else:
            yield Fault(
                f"{variable} is {folder}, which cannot be written ({error.strerror}): new datasets need a different "
                "folder, those in it can be trained",
                stops_training=False,
            )
    free_gb = shutil.disk_usage(folder).free / 1e9
    if is_written and free_gb < MIN_FREE_GB:
        yield Fault(
            f"{variable} is {folder} with {free_gb:.1f} GB of free space, one training needs {MIN_FREE_GB:g} GB: make "
            "room, or choose a folder on a different disk"
        )


def shared_memory_faults() -> Iterator[Fault]:
    """Yield a fault if the shared memory is too small for nnU-Net's worker processes."""
    if not SHARED_MEMORY.is_dir() or os.environ.get("nnUNet_n_proc_DA") == "0":
        return
    free_gb = shutil.disk_usage(SHARED_MEMORY).free / 1e9
    if free_gb < MIN_SHARED_GB:
        yield Fault(
            f"{SHARED_MEMORY} has {free_gb:.2f} GB of free shared memory, nnU-Net's workers need {MIN_SHARED_GB:g} GB: "
            "start the container with --shm-size=8g or --ipc=host, or export nnUNet_n_proc_DA=0"
        )
