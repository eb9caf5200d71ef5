"""Staging folder of a dataset: hidden next to its final place, and shared by the parts of a conversion.

Its name contains a hash of the cases and the plan, so that a conversion resumes its own work only. The process that
completes the dataset claims the folder by renaming it: of several parts that end together, one succeeds.
"""

from __future__ import annotations

import glob
import re
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from nnunet_paseg.conversion.probability_maps import PROBABILITIES, PSEUDO_LABELS
from nnunet_paseg.errors import PasegError

FOLDERS = ("imagesTr", "labelsTr", PSEUDO_LABELS, PROBABILITIES, "imagesTs", "labelsTs", "points", "records")

ABANDONED_HOURS = 6.0
"""A conversion that has finished no case for this long is no longer running."""


@dataclass(frozen=True)
class Staging:
    """Staging folder of one conversion.

    Attributes:
        raw_folder: Folder of raw datasets.
        name: Name of the dataset.
        conversion_hash: Hash of the package version, the cases and the plan.
    """

    raw_folder: Path
    name: str
    conversion_hash: str

    @property
    def folder(self) -> Path:
        """Folder of the finished cases."""
        return self.raw_folder / f".{self.name}.{self.conversion_hash[:12]}.partial"

    def claimed(self) -> list[Path]:
        """Return the folders in which a process completes the dataset, or was stopped while it did."""
        return sorted(self.raw_folder.glob(f".{glob.escape(self.name)}.{self.conversion_hash[:12]}.completing.*"))

    def open(self) -> None:
        """Create the missing folders.

        Raises:
            PasegError: The folder of raw datasets cannot be written.
        """
        try:
            for name in FOLDERS:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PasegError(
                f"{self.raw_folder} cannot be written ({error.strerror}): choose a different --raw."
            ) from error

    def remove_others(self) -> None:
        """Remove abandoned conversions to the same name with other options."""
        hidden = re.compile(rf"\.{re.escape(self.name)}\.(?!{self.conversion_hash[:12]})[\da-f]{{12}}\..*")
        for other in sorted(self.raw_folder.glob(".*")):
            if not hidden.fullmatch(other.name):
                continue
            latest = max(path.stat().st_mtime for path in (other, *(p for p in other.iterdir() if p.is_dir())))
            if time.time() - latest > ABANDONED_HOURS * 3600:
                shutil.rmtree(other)
            else:
                tqdm.write(
                    f"{other} belongs to a conversion with other options: delete it, unless that is still running."
                )

    def remove_unused(self) -> None:
        """Remove the folder if it contains no finished case, for example because the name of a class was misspelt."""
        if not any((self.folder / "records").glob("[!.]*")):
            shutil.rmtree(self.folder, ignore_errors=True)

    def claim(self) -> Path | None:
        """Claim the folder in order to complete it. Return None if a different process has claimed it."""
        return self._rename(self.folder)

    def claim_stopped(self) -> Path | None:
        """Claim a folder whose process was stopped while it completed the dataset. Return None if there is none."""
        return next(filter(None, map(self._rename, self.claimed())), None)

    def _rename(self, folder: Path) -> Path | None:
        mine = self.raw_folder / f".{self.name}.{self.conversion_hash[:12]}.completing.{uuid.uuid4().hex[:16]}"
        try:
            return folder.rename(mine)
        except FileNotFoundError:
            return None


def clean_up(folder: Path) -> None:
    """Remove half-written files of killed processes, and empty folders."""
    for stray in sorted(folder.glob("**/.*"), reverse=True):
        if stray.is_dir():
            shutil.rmtree(stray)
        else:
            stray.unlink(missing_ok=True)
    for name in FOLDERS:
        if (folder / name).exists() and not any((folder / name).iterdir()):
            (folder / name).rmdir()


def move_to(folder: Path, target: Path) -> None:
    """Give a complete dataset its name. A kill at any point leaves the old or the new dataset complete."""
    if target.exists():
        # Unique across the machines that share the folder.
        target.replace(target.with_name(f".{target.name}.{uuid.uuid4().hex[:16]}.replaced"))
    folder.replace(target)
    for old in target.parent.glob(f".{glob.escape(target.name)}.*.replaced"):
        shutil.rmtree(old)
