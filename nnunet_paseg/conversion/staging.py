"""A dataset in the making: hidden beside the place where it will be, shared by the parts of a conversion.

What it is made of is part of its folder's name, so that a conversion only ever goes on with its own work. Whoever
completes it first takes the folder away by renaming it: of several parts that end together, one succeeds.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from nnunet_paseg.errors import PasegError

FOLDERS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs", "points", "records")

ABANDONED_HOURS = 6.0
"""A conversion that has finished no case for so long is not running any more."""


@dataclass(frozen=True)
class Staging:
    """Where a dataset is made.

    Attributes:
        raw_folder: folder of raw datasets.
        name: the dataset's name.
        conversion_hash: of everything that the dataset is made of.
    """

    raw_folder: Path
    name: str
    conversion_hash: str

    @property
    def folder(self) -> Path:
        """Holds the finished cases."""
        return self.raw_folder / f".{self.name}.{self.conversion_hash[:12]}.partial"

    def claimed(self) -> list[Path]:
        """Folders in which a process completes the dataset, or was stopped while it did."""
        return sorted(self.raw_folder.glob(f".{self.name}.{self.conversion_hash[:12]}.completing.*"))

    def open(self) -> None:
        """Make the folders that are missing.

        Raises:
            PasegError: the folder of raw datasets cannot be written.
        """
        try:
            for name in FOLDERS:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PasegError(
                f"{self.raw_folder} cannot be written ({error.strerror}): choose another --raw."
            ) from error

    def remove_others(self) -> None:
        """Remove what is left of conversions to the same name that asked for something else, and do not run now."""
        hidden = re.compile(rf"\.{re.escape(self.name)}\.(?!{self.conversion_hash[:12]})[\da-f]{{12}}\..*")
        for other in sorted(self.raw_folder.glob(".*")):
            if not hidden.fullmatch(other.name):
                continue
            latest = max(path.stat().st_mtime for path in (other, *(p for p in other.iterdir() if p.is_dir())))
            if time.time() - latest > ABANDONED_HOURS * 3600:
                shutil.rmtree(other)
            else:
                tqdm.write(f"{other} is of a conversion with other options: delete it, unless that is still running.")

    def claim(self) -> Path | None:
        """Take the folder in order to complete it; None if another process has done so."""
        return self._rename(self.folder)

    def claim_stopped(self) -> Path | None:
        """Take a folder whose process was stopped while it completed the dataset; None if there is none."""
        return next(filter(None, map(self._rename, self.claimed())), None)

    def _rename(self, folder: Path) -> Path | None:
        mine = self.raw_folder / f".{self.name}.{self.conversion_hash[:12]}.completing.{uuid.uuid4().hex[:8]}"
        try:
            return folder.rename(mine)
        except FileNotFoundError:
            return None


def clean_up(folder: Path) -> None:
    """Remove what killed processes left half-written, and folders that hold nothing."""
    for stray in sorted(folder.glob("**/.*"), reverse=True):
        if stray.is_dir():
            shutil.rmtree(stray)
        else:
            stray.unlink(missing_ok=True)
    for name in FOLDERS:
        if (folder / name).exists() and not any((folder / name).iterdir()):
            (folder / name).rmdir()


def move_to(folder: Path, target: Path) -> None:
    """Give a complete dataset its name; whenever this is stopped, the old one or the new one is whole."""
    old = target.with_name(f".{target.name}.replaced")
    if target.exists():
        if old.exists():
            shutil.rmtree(old)
        target.replace(old)
    folder.replace(target)
    if old.exists():
        shutil.rmtree(old)
