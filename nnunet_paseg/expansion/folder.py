"""Output folder: masks of one network and one set of options, never a mixture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_paseg.errors import PasegError
from nnunet_paseg.expansion.plan import KEY, ExpansionPlan
from nnunet_paseg.io.case_files import CaseFiles
from nnunet_paseg.io.files import write_json
from nnunet_paseg.io.headers import image_files
from nnunet_paseg.points.inputs import input_state

PROBABILITIES = "probabilities"

MAX_SHOWN = 60
"""Characters of an option that a message quotes."""


@dataclass(frozen=True)
class MaskFolder:
    """Folder of masks, one per case, with records and slices for a contact sheet.

    Attributes:
        path: Folder.
    """

    path: Path

    def mask(self, case: str) -> Path:
        """Return the file of a case's mask."""
        return self.path / f"{case}.nii.gz"

    def record(self, case: str) -> Path:
        """Return the file of a case's record, which exists once the case is complete."""
        return self.path / "records" / f"{case}.json"

    def views(self, case: str) -> Path:
        """Return the file of the slices of a case for the contact sheet."""
        return self.path / "records" / f"{case}.npz"

    def existing(self, key: str) -> dict[str, Any] | None:
        """Return the content of its dataset.json, None if the folder is missing or empty.

        Args:
            key: Key of dataset.json by which a folder of these masks is recognised.

        Raises:
            PasegError: It is a file, or contains other files.
        """
        if self.path.exists() and not self.path.is_dir():
            raise PasegError(f"{self.path} is a file: name a folder.")
        if not self.path.is_dir() or all(entry.name[0] == "." for entry in self.path.iterdir()):
            return None
        found = read_record(self.path / "dataset.json")
        if key not in found:
            raise PasegError(f"{self.path} contains other files: name a new folder for the masks.")
        return found


@dataclass(frozen=True)
class OutputFolder(MaskFolder):
    """Folder of the masks of `paseg expand`.

    Attributes:
        plan: Options with which all its files are made.
    """

    plan: ExpansionPlan

    def probability(self, case: str, class_name: str) -> Path:
        """Return the file of a class's probability: in a folder of its own, where it is no mask of a case."""
        return self.path / PROBABILITIES / f"{case}_{class_name}.nii.gz"

    @property
    def options(self) -> str:
        """Hash of the options, which every record contains."""
        return hashlib.sha256(json.dumps(self.plan.description(), sort_keys=True).encode()).hexdigest()

    def files(self, case: str) -> list[Path]:
        """Return all files of a case, the record first."""
        probabilities = [self.probability(case, name) for name in self.plan.class_names if self.plan.probabilities]
        return [self.record(case), self.views(case), self.mask(case), *probabilities]

    def open(self, *, overwrite: bool) -> None:
        """Create the folder, or check that it can be continued.

        Args:
            overwrite: Whether masks of other options are deleted.

        Raises:
            PasegError: The folder contains other files, or masks of other options.
        """
        description, found = self.plan.description(), self.existing(KEY)
        if found is not None and found != description and not overwrite:
            raise PasegError(
                f"{self.path} contains masks of other options ({_differences(found, description)}): name a new "
                "folder, or pass --overwrite to expand all cases again."
            )
        for name in ("records", *([PROBABILITIES] if self.plan.probabilities else [])):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        if overwrite:
            self._remove_others()
        write_json(description, self.path / "dataset.json")

    def _remove_others(self) -> None:
        """Remove the cases of other options. Those of a different part that runs with the same options are kept."""
        for case, record in self.records():
            if record.get("options") != self.options:
                # Names only: a record may come from anywhere.
                names = [Path(str(name)).name for name in record.get("probabilities", [])]
                for path in (*(self.path / PROBABILITIES / name for name in names), *self.files(case)[::-1]):
                    path.unlink(missing_ok=True)

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the cases that have a record, each with its record."""
        for path in sorted((self.path / "records").glob("*.json")):
            yield path.name.removesuffix(".json"), read_record(path)

    def finished(self, files: CaseFiles) -> dict[str, Any] | None:
        """Return the record of a case, None unless its files are there and made of its current input files."""
        record = read_record(self.record(files.identifier))
        try:
            is_current = record.get("options") == self.options and record.get("made_of") == case_state(files)
        except (OSError, PasegError):
            return None  # the expansion of the case names what is wrong
        return record if is_current and all(path.exists() for path in self.files(files.identifier)) else None


def case_state(files: CaseFiles) -> dict[str, list[int]]:
    """Return size and modification time (ns) of every input file of a case, by path.

    Raises:
        PasegError: A file has a damaged header, or there is not one point file or folder.
    """
    images = [*files.images, *([files.mask] if files.mask else [])]
    return input_state([file for path in images for file in image_files(path)], files.point_file())


def read_record(path: Path) -> dict[str, Any]:
    """Return the content of a file, nothing if there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    old, new = ({**content, **content[KEY]} for content in (old, new))
    keys = [key for key in new if key != KEY and old.get(key) != new[key]]
    return "; ".join(f"{key} {str(old.get(key))[:MAX_SHOWN]}, now {str(new[key])[:MAX_SHOWN]}" for key in keys)
