"""Files that are written atomically: under a temporary name first, then moved into place."""

from __future__ import annotations

import difflib
import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunet_paseg.errors import PasegError

TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.(.+)")
"""Temporary name of a file or folder, which :func:`atomic_output` makes."""


@contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """Yield a temporary name next to ``path`` for a file or folder, which becomes ``path`` if the block succeeds.

    The content is on the disk before it gets its name: neither a kill nor a power failure leaves half a file. The
    temporary name keeps the suffix, since writers choose the format by it.
    """
    # Unique across the machines that share a folder: process numbers are not.
    temporary = path.with_name(f".{uuid.uuid4().hex[:16]}.{path.name}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush_entry(path.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def remove_temporaries(paths: Iterable[Path]) -> None:
    """Remove what killed processes left of some files, which no process writes any more."""
    finished = set(paths)
    for folder in {path.parent for path in finished}:
        for stray in folder.glob(".*"):
            name = TEMPORARY.fullmatch(stray.name)
            if name is not None and folder / name[1] in finished:
                shutil.rmtree(stray) if stray.is_dir() else stray.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until a file, or a folder with all files in it, is on the disk."""
    if path.is_symlink():
        return
    if path.is_dir():
        for entry in path.iterdir():
            _flush(entry)
    _flush_entry(path)


def _flush_entry(path: Path) -> None:
    if os.name != "posix":  # elsewhere folders cannot be opened, nor files be flushed that are open for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):  # network drives flush files only
            raise
    finally:
        os.close(descriptor)


def check_folder(folder: Path) -> None:
    """Check that a folder with input exists.

    Raises:
        PasegError: It does not; the message names a folder with a similar name.
    """
    if folder.is_dir():
        return
    siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
    similar = difflib.get_close_matches(folder.name, siblings, n=1)
    raise PasegError(f"{folder}: no such folder: " + (f"did you mean {similar[0]}?" if similar else "check the path."))


def sha256(files: Iterable[Path]) -> str:
    """Return the SHA-256 of the content of all files, one after the other."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def check_output(path: Path, suffixes: Sequence[str] = ()) -> None:
    """Raise PasegError if a file could not be written under this name, before any work is done.

    Args:
        path: Output file.
        suffixes: Allowed suffixes in lower case; empty allows all.

    Raises:
        PasegError: Its folder does not exist, it is a folder itself, or it has a different suffix.
    """
    if not path.resolve().parent.is_dir():
        raise PasegError(f"{path}: the folder {path.resolve().parent} does not exist: create it first.")
    if path.is_dir():
        raise PasegError(f"{path} is a folder: name a file in it.")
    if suffixes and path.suffix.lower() not in suffixes:
        raise PasegError(f"{path}: cannot be written as '{path.suffix}': use one of {', '.join(suffixes)}.")


def write_json(content: Any, path: Path) -> None:
    """Write ``content`` as indented JSON, atomically."""
    with atomic_output(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
