"""Checkpoints that are whole or not there, and the random state that lets a training go on as if it had not stopped."""

from __future__ import annotations

import codecs
import os
import pickle
import random
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth")
"""What ``nnUNetv2_train --c`` continues from, in this order."""


def write_checkpoint(checkpoint: dict[str, Any], filename: str) -> None:
    """Save a checkpoint atomically: a kill leaves the old file as it was."""
    path = Path(filename)
    for left_over in path.parent.glob(f".*.{path.name}"):  # of a training that was killed while it saved
        left_over.unlink()
    with atomic_output(path) as temporary, temporary.open("wb") as file:
        torch.save(checkpoint, file)


def read_checkpoint(filename: str) -> dict[str, Any]:
    """A checkpoint on the CPU: weights, figures and settings, no code.

    Raises:
        PasegError: the file is damaged, or holds anything else.
    """
    try:
        return _load(filename)
    except (FileNotFoundError, PermissionError):
        raise
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise PasegError(
            f"{filename} cannot be read ({reason[0]}). If neither memory nor the disk explains that, it is damaged or "
            "no checkpoint of nnU-Net: rename it, and train again; with --c the training goes on from the next "
            "checkpoint in that folder."
        ) from error


def _load(filename: str) -> dict[str, Any]:
    if not hasattr(torch.serialization, "safe_globals"):  # before torch 2.5
        warnings.warn(
            f"torch {torch.__version__} cannot restrict a checkpoint to figures: {filename} is read as nnU-Net reads "
            "it, so it must come from someone you trust, or torch 2.5 must be installed.",
            RuntimeWarning,
            stacklevel=3,
        )
        return torch.load(filename, map_location="cpu", weights_only=False)
    with torch.serialization.safe_globals(_numpy_scalars()):
        return torch.load(filename, map_location="cpu", weights_only=True)


def _numpy_scalars() -> list[Any]:
    """What a pickled NumPy number is made of: nnU-Net's log of an epoch consists of them."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(name)) for name in ("bool", "int32", "int64", "float16", "float32", "float64")}
    # NumPy 1 and 2 find it in different places, and a checkpoint may come from the other one.
    scalars = [_at(module, scalar) for module in ("numpy.core.multiarray", "numpy._core.multiarray")]
    return [*scalars, np.dtype, codecs.encode, *kinds]


def _at(module: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, as if it stood in that module."""

    def placed(*arguments: Any) -> Any:
        return function(*arguments)

    placed.__module__, placed.__qualname__ = module, function.__name__
    return placed


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of every generator that training, loading and augmenting in this process draw from."""
    kind, key, *rest = np.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": (str(kind), torch.from_numpy(np.asarray(key).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put back what :func:`random_state` found."""
    kind, key, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((kind, key.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def fix_blur(transforms: Iterable[BasicTransform]) -> None:
    """Blur always by convolution; nnU-Net times two ways that differ in the last digit and takes the faster one."""
    for step in transforms:
        inner = getattr(step, "transform", step)
        if isinstance(inner, GaussianBlurTransform):
            inner.benchmark = False


def put_aside(folder: str) -> list[str]:
    """Rename the checkpoints of an earlier training, so that ``--c`` cannot take them for those of this one.

    Returns:
        The new names.
    """
    moved = []
    for name in CHECKPOINTS:
        file = os.path.join(folder, name)
        if os.path.isfile(file):
            os.replace(file, os.path.join(folder, f"previous_{name}"))
            moved.append(f"previous_{name}")
    return moved
