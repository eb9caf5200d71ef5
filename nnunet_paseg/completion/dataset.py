"""Training cases of a converted dataset: images, points, and the folds of the model that were not trained on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_paseg.conversion.probability_maps import PROBABILITIES
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.headers import image_files
from nnunet_paseg.io.nnunet_folders import nnunet_folder
from nnunet_paseg.nnunet.export import read_json_object
from nnunet_paseg.points.inputs import input_state

FILE_ENDING = ".nii.gz"
SPLITS = "splits_final.json"


@dataclass(frozen=True)
class TrainingCase:
    """A training case.

    Attributes:
        identifier: Case identifier.
        images: One file per channel.
        label: Training label map.
        points: Point file; None for a case with a dense mask, which is its label map.
        kept: Kept probabilities of the expansion network, one file per class; empty if they were not kept.
        folds: Folds of the model that predict the case.
        trained_on: Whether these folds were trained on the case.
    """

    identifier: str
    images: tuple[Path, ...]
    label: Path
    points: Path | None
    kept: tuple[Path, ...] = ()
    folds: tuple[str, ...] = ()
    trained_on: bool = True

    def state(self) -> dict[str, list[int]]:
        """Return size and modification time (ns) of every input file, by path.

        Raises:
            PasegError: An image has a damaged header.
            OSError: A file is missing.
        """
        voxels = [*self.images, *self.kept] if self.points else [self.label]
        return input_state([file for path in voxels for file in image_files(path)], self.points)


@dataclass(frozen=True)
class ClickedDataset:
    """A raw dataset that `paseg convert` has written.

    Attributes:
        folder: ``nnUNet_raw/DatasetXXX_Name``.
        labels: Label by class name, without background and ignore.
        channel_names: nnU-Net's names of the channels, by number.
        splits: Training and validation cases of every fold.
    """

    folder: Path
    labels: dict[str, int]
    channel_names: dict[str, str]
    splits: list[dict[str, list[str]]]

    @classmethod
    def open(cls, name: str, *, needs_splits: bool) -> ClickedDataset:
        """Read a dataset in nnUNet_raw, and its splits in nnUNet_preprocessed.

        Args:
            name: Full name, ``DatasetXXX_Name``.
            needs_splits: Whether a fold is a number, and not ``all``.

        Raises:
            PasegError: A folder or a file is missing or damaged, or the classes are regions.
        """
        folder = _folder("nnUNet_raw") / name
        content = read_json_object(folder / "dataset.json")
        labels = {key: value for key, value in content["labels"].items() if key not in ("background", "ignore")}
        if not all(isinstance(value, int) for value in labels.values()):
            raise PasegError(f"{folder / 'dataset.json'} has regions, which have no points: complete single classes.")
        if content["file_ending"] != FILE_ENDING:
            raise PasegError(f"{folder} has images {content['file_ending']}, not {FILE_ENDING}: convert it again.")
        splits = _folder("nnUNet_preprocessed") / name / SPLITS
        return cls(folder, labels, content["channel_names"], _read_splits(splits) if needs_splits else [])

    def cases(self, folds: Sequence[str]) -> list[TrainingCase]:
        """Return the training cases, each with the folds that predict it.

        A case is predicted by the folds that were not trained on it, or by all folds if there is none.

        Args:
            folds: Folds of the model.
        """
        from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

        result = []
        for identifier, files in sorted(get_filenames_of_train_images_and_targets(str(self.folder)).items()):
            unseen = tuple(fold for fold in folds if not self._is_trained_on(identifier, fold))
            points = self.folder / "points" / f"{identifier}.csv"
            names = [f"{identifier}_{label:04d}{FILE_ENDING}" for label in self.labels.values()]
            kept = tuple(self.folder / PROBABILITIES / name for name in names)
            result.append(
                TrainingCase(
                    identifier,
                    tuple(Path(image) for image in files["images"]),
                    Path(files["label"]),
                    points if points.is_file() else None,
                    kept if all(path.is_file() for path in kept) else (),
                    unseen or tuple(folds),
                    not unseen,
                )
            )
        return result

    def _is_trained_on(self, case: str, fold: str) -> bool:
        """Return whether a fold was trained on a case. A fold that is not in the splits counts as trained on all."""
        if fold == "all" or int(fold) >= len(self.splits):
            return True
        return case in self.splits[int(fold)]["train"]


def _folder(variable: str) -> Path:
    folder = nnunet_folder(variable)
    if folder is None:
        raise PasegError(f"The environment variable {variable} is not set: export {variable}=FOLDER.")
    return folder


def _read_splits(path: Path) -> list[dict[str, list[str]]]:
    try:
        splits: list[dict[str, list[str]]] = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(split["train"], list) for split in splits):
            return splits
        problem = "it does not list the training cases of every fold"
    except FileNotFoundError:
        problem = "it is missing"
    except (OSError, ValueError, TypeError, KeyError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise PasegError(
        f"{path} cannot be used ({problem}), and it states on which cases each fold was trained: copy it from the "
        "machine on which the model was trained."
    )
