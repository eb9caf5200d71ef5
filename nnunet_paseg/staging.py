"""A dataset in the making: hidden beside the place where it will be, shared by the parts of a conversion.

What it is made of is part of its folder's name, so that a conversion only ever goes on with its own work. Whoever
completes it first takes the folder away by renaming it: of several parts that end together, one succeeds.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from nnunet_paseg.errors import PasegError

FOLDERS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs", "points", "records")


@dataclass(frozen=True)
class Staging:
    """Where a dataset is made.

    Attributes:
        raw_folder: folder of raw datasets.
        name: the dataset's name.
        fingerprint: of everything that the dataset is made of.
    """

    raw_folder: Path
    name: str
    fingerprint: str

    @property
    def folder(self) -> Path:
        """Holds the finished cases."""
        return self.raw_folder / f".{self.name}.{self.fingerprint[:12]}.partial"

    def taken(self) -> list[Path]:
        """Folders in which a process completes the dataset, or was stopped while it did."""
        return sorted(self.raw_folder.glob(f".{self.name}.{self.fingerprint[:12]}.completing.*"))

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
        """Remove what is left of conversions to the same name that asked for something else."""
        for other in self.raw_folder.glob(f".{self.name}.*.*"):
            if f".{self.fingerprint[:12]}." not in other.name:
                shutil.rmtree(other)

    def take(self) -> Path | None:
        """Take the folder in order to complete it; None if another process has done so."""
        return self._rename(self.folder)

    def take_over(self) -> Path | None:
        """Take a folder whose process was stopped while it completed the dataset; None if there is none."""
        return next(filter(None, map(self._rename, self.taken())), None)

    def _rename(self, folder: Path) -> Path | None:
        mine = self.raw_folder / f".{self.name}.{self.fingerprint[:12]}.completing.{uuid.uuid4().hex[:8]}"
        try:
            return folder.rename(mine)
        except FileNotFoundError:
            return None


def tidy(folder: Path) -> None:
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
