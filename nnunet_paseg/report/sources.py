"""Where a report comes from, and the classes that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_paseg import __version__
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.case_scores import Classes
from nnunet_paseg.evaluation.evaluate import find_classes


@dataclass(frozen=True)
class Sources:
    """Where a report comes from.

    Attributes:
        predictions: folder of predicted label maps.
        images: folder of the images that were predicted.
        references: folder of dense label maps; None where no truth is known.
        dataset: raw dataset, for its points and seeds.
        models: trained model folders, for their curves.
        dataset_json: file with the class names; looked for where None.
        labels: label values instead of class names.

    Raises:
        PasegError: a folder is missing.
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
            if folder is not None and not folder.is_dir():
                raise PasegError(f"{folder}: no such folder")

    def classes(self) -> Classes:
        """The classes as `paseg evaluate` finds them, or those of the raw dataset if there is one.

        Raises:
            PasegError: they are not found.
        """
        if self.labels is not None:
            return Classes({f"label {value}": (value,) for value in self.labels})
        given = self.dataset_json or (self.dataset / "dataset.json" if self.dataset else None)
        return find_classes(self.predictions, self.references or self.predictions, dataset_json=given)

    def facts(self) -> list[tuple[str, str]]:
        """Names and values for the head of the page."""
        folders = {
            "predictions": self.predictions,
            "images": self.images,
            "truth": self.references,
            "raw dataset": self.dataset,
        }
        facts = [(name, str(folder)) for name, folder in folders.items() if folder is not None]
        return [*facts, ("made by", f"nnunet-paseg {__version__}")]


def single_labels(classes: Classes) -> dict[str, int]:
    """Label by class name; the parts of regions, which have no names, are called by their numbers."""
    named = {values[0]: name for name, values in classes.values.items() if len(values) == 1}
    every = sorted({value for values in classes.values.values() for value in values})
    return {named.get(value, f"label {value}"): value for value in every}
