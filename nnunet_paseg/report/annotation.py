"""The annotation of a raw dataset: points and seeds of its training cases, and the cases with the fewest seeds."""

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
    """A raw dataset that `paseg convert` has written.

    Attributes:
        folder: ``nnUNet_raw/DatasetXXX_Name``.
        labels: Label by class name, without background and ignore.
        ignore: Ignore label of unlabelled voxels; None in a dense dataset.
        records: Conversion record by case; empty without a paseg.json.
        external: nnU-Net's own list of training images in other folders, by case.
    """

    folder: Path
    labels: Mapping[str, int]
    ignore: int | None = None
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    external: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> RawDataset:
        """Read dataset.json and paseg.json.

        Raises:
            PasegError: The folder is no raw dataset, or one of its JSON files is invalid.
        """
        description = folder / "dataset.json"
        if not description.is_file():
            raise PasegError(f"{folder}: no dataset.json; pass a raw dataset, such as nnUNet_raw/Dataset101_Tumor.")
        content = _read_json(description, "labels")
        # The parts of a region have no names; points have single labels.
        labels = {name: label for name, label in content["labels"].items() if isinstance(label, int)}
        ignore = labels.pop("ignore", None)
        labels.pop("background", None)
        external = content.get("dataset", {})
        if not all(_get(images, "images", list) for images in _values(external)):
            raise _invalid(description, '"dataset" does not list the images of its cases')
        record = folder / "paseg.json"
        records = _read_json(record, "cases")["cases"] if record.is_file() else {}
        if not all(_is_record(one) for one in _values(records)):
            raise _invalid(record, '"cases" is not a record of a conversion')
        return cls(folder, labels, ignore, records, external)

    def seeds(self, case: str) -> Path | None:
        """Return the training label map of a case, if available."""
        path = self.folder / "labelsTr" / f"{case}.nii.gz"
        return path if path.is_file() else None

    def points(self, case: str) -> list[Instance] | None:
        """Return the points of a case, if available.

        Raises:
            PasegError: The file cannot be read.
        """
        from nnunet_paseg.points.formats.csv import read_csv

        path = self.folder / "points" / f"{case}.csv"
        try:
            return read_csv(path) if path.is_file() else None
        except PasegError:
            raise
        except Exception as error:  # whatever a parser raises
            raise PasegError(f"{path} cannot be read ({type(error).__name__}: {error}): convert it again.") from error

    def image(self, case: str) -> Path:
        """Return the first channel of a training case.

        Raises:
            PasegError: The file is missing.
        """
        path = self.folder / "imagesTr" / f"{case}_0000.nii.gz"
        if case in self.external:
            path = self.folder / self.external[case]["images"][0]
        if not path.is_file():
            raise PasegError(f"{path}: the image of training case {case} is missing: restore it, or omit -d.")
        return path

    def fewest_seeds(self, number: int) -> list[str]:
        """Return the cases with the fewest seed voxels per target, the lowest number first."""
        marked = {case: record for case, record in self.records.items() if record.get("instances")}
        seeds = {
            case: sum(record["voxels"].get(name, 0) for name in self.labels) / record["instances"]
            for case, record in marked.items()
        }
        return sorted(seeds, key=lambda case: (seeds[case], case))[:number]

    def summary(self) -> str:
        """Summarise training cases, targets and seeds in one or two sentences."""
        if not self.records:
            return f"{self.folder.name} has no paseg.json, so the origin of its labels is unknown."
        made = [record for record in self.records.values() if "voxels" in record]
        counts = {name: sum(record["voxels"].get(name, 0) for record in made) for name in ("ignore", *self.labels)}
        voxels = sum(sum(record["voxels"].values()) for record in made)
        if not voxels:
            return f"{self.folder.name} has no training case with points."
        seeds = ", ".join(f"{counts[name] / voxels:.2%} {name}" for name in self.labels)
        targets = sum(record["instances"] for record in made)
        return (
            f"{self.folder.name}: {len(made)} training cases with points, {targets} targets. Of the voxels, "
            f"{counts['ignore'] / voxels:.1%} are unlabelled; seeds: {seeds}."
        )

    def warnings(self) -> list[tuple[str, str]]:
        """Return every warning of the conversion with its case."""
        return [(case, str(record["warning"])) for case, record in self.records.items() if "warning" in record]


def _read_json(path: Path, key: str) -> dict[str, Any]:
    """Read a JSON file that contains an object under a key."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content[key], dict):
            return dict(content)
        problem = f'"{key}" is not an object'
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        problem = repr(error)
    raise _invalid(path, f'no JSON with "{key}" ({problem})')


def _invalid(path: Path, problem: str) -> PasegError:
    return PasegError(f"{path}: {problem}; convert the dataset again.")


def _values(content: Any) -> list[Any]:
    return list(content.values()) if isinstance(content, dict) else [None]


def _get(content: Any, key: str, kind: type) -> Any:
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, kind) else None


def _is_record(record: Any) -> bool:
    """Return whether a record of paseg.json can be used: a case with points has its targets and voxels counted."""
    if not isinstance(record, dict):
        return False
    if "voxels" not in record and "instances" not in record:
        return True
    voxels = _get(record, "voxels", dict)
    return voxels is not None and all(isinstance(n, int) for n in (record.get("instances"), *voxels.values()))
