"""Atomic checkpoints, and the random state with which a training resumes as if it had not been stopped."""

from __future__ import annotations

import codecs
import os
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
"""Checkpoints from which ``nnUNetv2_train --c`` resumes, in this order."""


def write_checkpoint(checkpoint: dict[str, Any], filename: str) -> None:
    """Write a checkpoint atomically: a kill keeps the old file."""
    path = Path(filename)
    for left_over in path.parent.glob(f".*.{path.name}"):  # temporary file of a training that was killed
        left_over.unlink()
    with atomic_output(path) as temporary, temporary.open("wb") as file:
        torch.save(checkpoint, file)


def read_checkpoint(filename: str) -> dict[str, Any]:
    """Read the tensors, numbers and settings of a checkpoint to the CPU without executing code.

    Raises:
        PasegError: The file is damaged, or contains other objects.
    """
    try:
        checkpoint = _load(filename)
        if not isinstance(checkpoint, dict):
            raise TypeError(f"it contains a {type(checkpoint).__name__}")
        return checkpoint
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # damaged files raise all kinds
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise PasegError(
            f"{filename} cannot be read ({reason[0]}). Unless memory or disk space is short, the file is damaged or "
            "not a checkpoint of nnU-Net: rename it, and train again. With --c the training resumes from the next "
            "checkpoint in that folder."
        ) from error


def _load(filename: str) -> Any:
    if not hasattr(torch.serialization, "safe_globals"):  # before torch 2.5
        warnings.warn(
            f"torch {torch.__version__} cannot exclude code from a checkpoint: {filename} is read without this "
            "restriction, as nnU-Net reads it. Read only files that you trust, or install torch 2.5 or later.",
            RuntimeWarning,
            stacklevel=3,
        )
        return torch.load(filename, map_location="cpu", weights_only=False)
    with torch.serialization.safe_globals(allowed_globals()):
        return torch.load(filename, map_location="cpu", weights_only=True)


def allowed_globals() -> list[Any]:
    """Return the classes and functions that are allowed in addition: those of NumPy scalars, as in nnU-Net's log."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(name)) for name in ("bool", "int32", "int64", "float16", "float32", "float64")}
    # NumPy 1 and 2 have it in different modules, and a checkpoint may come from either.
    scalars = [_at(module, scalar) for module in ("numpy.core.multiarray", "numpy._core.multiarray")]
    return [*scalars, np.dtype, codecs.encode, *kinds]


def _at(module: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with the name of a different module."""

    def placed(*arguments: Any) -> Any:
        return function(*arguments)

    placed.__module__, placed.__qualname__ = module, function.__name__
    return placed


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of every random generator that training and data loading use in this process."""
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
    """Restore the state that :func:`random_state` returned."""
    kind, key, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((kind, key.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def fix_blur(transforms: Iterable[BasicTransform]) -> None:
    """Let Gaussian blur always use convolution; nnU-Net chooses the faster of two methods, which round differently."""
    for step in transforms:
        inner = getattr(step, "transform", step)
        if isinstance(inner, GaussianBlurTransform):
            inner.benchmark = False


def rename_old_checkpoints(folder: str) -> list[str]:
    """Rename the checkpoints of an earlier training, so that ``--c`` does not resume from them.

    Returns:
        New names.
    """
    renamed = []
    for name in CHECKPOINTS:
        file = os.path.join(folder, name)
        if os.path.isfile(file):
            os.replace(file, os.path.join(folder, f"previous_{name}"))
            renamed.append(f"previous_{name}")
    return renamed
