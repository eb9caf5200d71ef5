"""What a raw dataset knows of the annotation: seeds and points of its training cases, and where there are few."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_paseg.errors import PasegError

if TYPE_CHECKING:
    from nnunet_paseg.points.instance import Instance


@dataclass(frozen=True)
class RawDataset:
    """A raw dataset that a script of dataset_conversion/ made.

    Attributes:
        folder: ``nnUNet_raw/DatasetXXX_Name``.
        labels: label by class name, without background and ignore.
        ignore: label of what nobody knows; None in a dense dataset.
        records: how each case was made, by case; empty where there is no paseg.json.
        references: nnU-Net's own list of training images that lie elsewhere, by case.
    """

    folder: Path
    labels: Mapping[str, int]
    ignore: int | None = None
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    references: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> RawDataset:
        """Read dataset.json and paseg.json.

        Raises:
            PasegError: the folder is no raw dataset, or a file in it cannot be understood.
        """
        description = folder / "dataset.json"
        if not description.is_file():
            raise PasegError(f"{folder}: no dataset.json; pass a raw dataset, such as nnUNet_raw/Dataset101_Tumor.")
        content = _read_json(description, "labels")
        labels = dict(content["labels"])
        ignore = labels.pop("ignore", None)
        labels.pop("background", None)
        record = folder / "paseg.json"
        records = _read_json(record, "cases")["cases"] if record.is_file() else {}
        return cls(folder, labels, ignore, records, content.get("dataset", {}))

    def seeds(self, case: str) -> Path | None:
        """Training label map of a case, if it has one."""
        path = self.folder / "labelsTr" / f"{case}.nii.gz"
        return path if path.is_file() else None

    def points(self, case: str) -> list[Instance] | None:
        """Points of a case, if they are known.

        Raises:
            PasegError: the file cannot be read.
        """
        from nnunet_paseg.points.formats.csv import read_csv

        path = self.folder / "points" / f"{case}.csv"
        return read_csv(path) if path.is_file() else None

    def image(self, case: str) -> Path:
        """First channel of a training case.

        Raises:
            PasegError: it is not there.
        """
        path = self.folder / "imagesTr" / f"{case}_0000.nii.gz"
        if case in self.references:
            path = self.folder / self.references[case]["images"][0]
        if not path.is_file():
            raise PasegError(f"{path}: the image of training case {case} is missing; put it back, or leave out -d.")
        return path

    def fewest_seeds(self, number: int) -> list[str]:
        """Cases with points, those with the fewest voxels of seeds a target first."""
        marked = {case: record for case, record in self.records.items() if record.get("instances")}
        seeds = {
            case: sum(record["voxels"].get(name, 0) for name in self.labels) / record["instances"]
            for case, record in marked.items()
        }
        return sorted(seeds, key=lambda case: (seeds[case], case))[:number]

    def summary(self) -> str:
        """Training cases, targets and seeds in one sentence."""
        if not self.records:
            return f"{self.folder.name} has no paseg.json: nothing is known of how its labels were made."
        made = [record for record in self.records.values() if "voxels" in record]
        counts = {name: sum(record["voxels"].get(name, 0) for record in made) for name in ("ignore", *self.labels)}
        voxels = sum(sum(record["voxels"].values()) for record in made)
        if not voxels:
            return f"{self.folder.name} has no training case with points."
        seeds = ", ".join(f"{counts[name] / voxels:.2%} {name}" for name in self.labels)
        targets = sum(record["instances"] for record in made)
        return (
            f"{self.folder.name}: {len(made)} training cases with points, {targets} targets; of their voxels "
            f"{counts['ignore'] / voxels:.1%} are unlabelled, and seeds are {seeds}."
        )

    def warnings(self) -> list[tuple[str, str]]:
        """Case and what its conversion found wrong with its seeds."""
        return [(case, str(record["warning"])) for case, record in self.records.items() if "warning" in record]


def _read_json(path: Path, key: str) -> dict[str, Any]:
    """A JSON file that holds an object by that key."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content[key], dict):
            return dict(content)
        problem = f'"{key}" is not an object'
    except (OSError, KeyError, TypeError, ValueError) as error:
        problem = repr(error)
    raise PasegError(f'{path}: no JSON with "{key}" ({problem}); convert the dataset again.')
