"""What is wrong with the installed libraries: nnU-Net's version, PyTorch's builds, the GPU, the folder of trainers."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from nnunet_paseg import EXT_FOLDER

VARIABLE = "nnUNet_extTrainer"
TRAINER = "PASegStage1Trainer"
EXPORT = f'export {VARIABLE}="$(paseg trainer-dir)"'
MAX_REASON = 200
"""Longest text of an exception that a message quotes."""


@dataclass(frozen=True)
class Fault:
    """A fault of an installation.

    Attributes:
        message: What is wrong, and what to do.
        stops_training: Whether a training would fail.
    """

    message: str
    stops_training: bool = True


def nnunet_faults() -> Iterator[Fault]:
    """Yield a fault if nnU-Net is missing, or its version is not one that this package supports."""
    from packaging.requirements import Requirement

    (required,) = (need for text in requires("nnunet-paseg") or [] if (need := Requirement(text)).name == "nnunetv2")
    remedy = f'pip install "nnunetv2{required.specifier}"'
    try:
        found = version("nnunetv2")
    except PackageNotFoundError:
        yield Fault(f"nnU-Net is not installed: {remedy}")
        return
    if not required.specifier.contains(found, prereleases=True):
        yield Fault(f"nnU-Net is version {found}, this package needs {required.specifier}: {remedy}")


def build_faults() -> Iterator[Fault]:
    """Yield a fault if torch and torchvision cannot be imported together, or are of different builds."""
    remedy = "install both from the same index, or nnunetv2 alone in an empty environment"
    try:
        import torch
        import torchvision
    except Exception as error:  # a broken library raises whatever it meets first
        yield Fault(f"torch and torchvision cannot be imported ({_reason(error)}): {remedy}")
        return
    builds = {name: module.__version__ for name, module in (("torch", torch), ("torchvision", torchvision))}
    if len({text.partition("+")[2] for text in builds.values()}) > 1:
        shown = " and ".join(f"{name} {text}" for name, text in builds.items())
        yield Fault(f"{shown} are different builds: {remedy}", stops_training=False)


def device_faults(device: str) -> Iterator[Fault]:
    """Yield a fault if PyTorch cannot compute on a device.

    Args:
        device: ``cuda``, ``cpu`` or ``mps``, as for ``nnUNetv2_train -device``.
    """
    import torch

    otherwise = "or train with -device cpu, and pass --device cpu here"
    if device == "cuda" and torch.version.cuda is None and torch.version.hip is None:
        yield Fault(f"torch {torch.__version__} is built without GPU: install a build for your GPU, {otherwise}")
        return
    if device == "cuda" and not torch.cuda.is_available():
        yield Fault(f"torch finds no GPU: check the driver with nvidia-smi, {otherwise}")
        return
    try:
        (torch.ones(1, device=device) + 1).item()
    except Exception as error:
        yield Fault(
            f"torch {torch.__version__} cannot compute on {device} ({_reason(error)}): end other processes on it, "
            f"install a build for this device, {otherwise}"
        )


def trainer_faults() -> Iterator[Fault]:
    """Yield a fault if nnU-Net does not find the trainers of this package."""
    value = os.environ.get(VARIABLE, "")
    folders = [Path(text) for text in value.split(os.pathsep) if text.strip()]
    if not EXT_FOLDER.is_dir():
        yield Fault(f"{EXT_FOLDER} is missing: install nnunet-paseg again")
    elif not folders:
        yield Fault(f"{VARIABLE} is not set, so nnU-Net does not find the trainers: {EXPORT}")
    elif not any(folder.resolve() == EXT_FOLDER for folder in folders):
        yield Fault(
            f"{VARIABLE} is {value}, without the trainers of this installation ({EXT_FOLDER}): {EXPORT}, with "
            f"other folders after it, separated by '{os.pathsep}'"
        )
    else:
        yield from _search_faults()


def _search_faults() -> Iterator[Fault]:
    """Search as nnU-Net does. An earlier folder can have a trainer of the same name, or a module that fails."""
    import nnunetv2.training.nnUNetTrainer
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    from nnunet_paseg.trainers import PASegStage1Trainer

    remedy = f"put $(paseg trainer-dir) first in {VARIABLE}"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            found = recursive_find_trainer_class_by_name(TRAINER)
    except Exception as error:
        yield Fault(f"nnU-Net fails while it searches {TRAINER} in {VARIABLE} ({_reason(error)}): {remedy}")
        return
    if found is not PASegStage1Trainer:
        inside = Path(nnunetv2.training.nnUNetTrainer.__path__[0])
        remedy = f"remove it from {inside}" if found.__module__.startswith("nnunetv2.") else remedy
        yield Fault(f"nnU-Net finds a different {TRAINER} first, in the module {found.__module__}: {remedy}")


def _reason(error: Exception) -> str:
    text = re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")
    return text[:MAX_REASON]
