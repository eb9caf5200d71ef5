"""Folders and files of a report, and its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_paseg import __version__
from nnunet_paseg.evaluation.case_scores import Classes
from nnunet_paseg.evaluation.evaluate import find_classes
from nnunet_paseg.io.files import check_folder


@dataclass(frozen=True)
class Sources:
    """Folders and files of a report.

    Attributes:
        predictions: Folder of predicted label maps.
        images: Folder of the images that were predicted.
        references: Folder of dense label maps, if available.
        dataset: Raw dataset, for its points and seeds.
        models: Folders of trained models, for their curves.
        dataset_json: File with the class names. Default: the one found next to the references.
        labels: Label values instead of class names.

    Raises:
        PasegError: A folder is missing.
    """

    predictions: Path
    images: Path
    references: Path | None = None
    dataset: Path | None = None
    models: Sequence[Path] = ()
    dataset_json: Path | None = None
    labels: Sequence[int] | None = None

    def __post_init__(self) -> None:
        for folder in (self.predictions, self.images, self.references, self.dataset, *self.models):
            if folder is not None:
                check_folder(folder)

    def classes(self) -> Classes:
        """Return the classes of the raw dataset if there is one, else those that `paseg evaluate` scores.

        Raises:
            PasegError: There is no dataset.json, and no label values are given.
        """
        if self.labels is not None:
            return Classes({f"label {value}": (value,) for value in self.labels})
        given = self.dataset_json or (self.dataset / "dataset.json" if self.dataset else None)
        return find_classes(self.predictions, self.references or self.predictions, dataset_json=given)

    def facts(self) -> list[tuple[str, str]]:
        """Return names and values for the top of the page."""
        folders = {
            "predictions": self.predictions,
            "images": self.images,
            "references": self.references,
            "raw dataset": self.dataset,
        }
        facts = [(name, str(folder)) for name, folder in folders.items() if folder is not None]
        return [*facts, ("version", f"nnunet-paseg {__version__}")]


def single_labels(classes: Classes) -> dict[str, int]:
    """Return the label by class name; the parts of a region, which have no names, are named by their values."""
    named = {values[0]: name for name, values in classes.values.items() if len(values) == 1}
    every = sorted({value for values in classes.values.values() for value in values})
    return {named.get(value, f"label {value}"): value for value in every}
