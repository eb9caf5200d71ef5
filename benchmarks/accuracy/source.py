"""Revisions of this repository: the one that a record names, and earlier ones whose seed rules no longer exist."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output

ROOT = Path(__file__).resolve().parents[2]
CODE = ("nnunet_paseg", "dataset_conversion", "benchmarks", ":!benchmarks/results")
"""Paths of the code that makes the records, which are written into the same repository."""


def revision() -> str:
    """Return the revision of the source, with "-dirty" for local changes of the code; empty without git."""
    if shutil.which("git") is None:
        return ""
    name = _git("rev-parse", "--short", "HEAD")
    return f"{name}-dirty" if name and _git("status", "--porcelain", "--", *CODE) else name


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, encoding="utf-8").stdout.strip()


def check_clean() -> None:
    """Raise PasegError unless a revision contains the source as it is.

    Raises:
        PasegError: The source has local changes, or is no repository.
    """
    name = revision()
    if not name or name.endswith("-dirty"):
        raise PasegError(
            f"{ROOT}: {'local changes' if name else 'not a git repository'}, so that the records could not name the "
            "revision of the source: commit the changes, or run from a clean clone."
        )


def origin(command: str) -> list[str]:
    """Return the lines of a page that state its origin: the command, and the revision of the source.

    Args:
        command: Command without the folders of this machine.
    """
    return [f"    {command}", "", f"Revision {revision()}.", ""]


def unpack(name: str, folder: Path) -> Path:
    """Write the source of a revision below a folder, unless it is there, and return its path.

    Args:
        name: Revision.
        folder: Folder of the sources.

    Raises:
        PasegError: The repository does not contain the revision.
    """
    target = folder / name
    if target.exists():
        return target
    words = ["git", "archive", "--format=tar", name, "nnunet_paseg", "dataset_conversion"]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", b"").decode(errors="replace").strip() or str(error)
        raise PasegError(
            f"{ROOT}: no revision {name}, which converts the labels of an earlier rule ({reason}): run from a clone "
            "with its whole history."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive, atomic_output(target) as temporary:
        archive.extractall(temporary, filter="data")
    return target
