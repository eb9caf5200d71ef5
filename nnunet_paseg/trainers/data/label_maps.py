"""Label maps from any source as the first pseudo labels of stage 2, resampled to nnU-Net's preprocessed grid.

Stage 2 reads label maps for the training cases from folders of the raw dataset:

    nnUNet_raw/Dataset123_Name/pseudoLabelsTr/            for both networks
    nnUNet_raw/Dataset123_Name/pseudoLabelsTr_primary/    for the primary network only
    nnUNet_raw/Dataset123_Name/pseudoLabelsTr_aux/        for the auxiliary network only

named like the files in labelsTr, with the same classes. Voxels with the ignore label are unlabelled.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import numpy.typing as npt
from acvl_utils.cropping_and_padding.bounding_boxes import bounding_box_to_slice
from nnunetv2.configuration import default_num_processes
from nnunetv2.paths import nnUNet_raw
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params
from torch import distributed

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.io.geometry import TOLERANCE, FloatArray, corner_distance
from nnunet_paseg.io.images import read_labels
from nnunet_paseg.trainers.ranks import items_of_rank

FOLDER = "pseudoLabelsTr"
NETWORKS = ("primary", "aux")


def find_folders(dataset_name: str) -> tuple[str | None, str | None]:
    """Return the folder names for the primary and the auxiliary network; None where there is no folder."""
    if not nnUNet_raw.is_set():
        return None, None
    raw = Path(nnUNet_raw) / dataset_name
    primary, auxiliary = (
        next((name for name in (f"{FOLDER}_{network}", FOLDER) if (raw / name).is_dir()), None) for network in NETWORKS
    )
    return primary, auxiliary


def prepare(trainer: Any, folders: Sequence[str], dataset: Any) -> list[Path]:
    """Resample the label maps of all training cases to the preprocessed grid, except those that are up to date.

    The ranks divide the cases among them.

    Args:
        trainer: Trainer of stage 2.
        folders: Names of folders in the raw dataset.
        dataset: nnU-Net's dataset of the training cases.

    Returns:
        Folders of the preprocessed label maps.

    Raises:
        PasegError: A label map is missing, unreadable, on a different grid than the image, or contains a value that is
            not a class.
    """
    made = []
    for name in folders:
        source = Path(nnUNet_raw) / trainer.plans_manager.dataset_name / name
        target = Path(f"{trainer.preprocessed_dataset_folder}_{name}")
        trainer.print_to_log_file(f"Resampling the label maps in {source} to {target}.")
        target.mkdir(exist_ok=True)
        _prepare_folder(trainer, source, target, dataset, items_of_rank(trainer, dataset.identifiers))
        made.append(target)
    if trainer.is_ddp:
        distributed.barrier()
    return made


def _prepare_folder(trainer: Any, source: Path, target: Path, dataset: Any, identifiers: Sequence[str]) -> None:
    cases = []
    for identifier in identifiers:
        file, made = source / (identifier + trainer.dataset_json["file_ending"]), target / f"{identifier}.b2nd"
        if not file.is_file():
            raise PasegError(
                f"{file} is missing: add a label map for every training case of the fold. For an unlabelled case, add "
                f"one that is {trainer.label_manager.ignore_label} (ignore) everywhere."
            )
        _, labels, _, properties = dataset.load_case(identifier)
        shape, state = tuple(labels.shape[1:]), file.stat()
        facts = [state.st_mtime_ns, state.st_size, *shape]
        if not made.exists() or _facts(made) != facts:
            properties = {key: value for key, value in properties.items() if key != "class_locations"}
            cases.append((file, made, properties, shape, facts))
    patch = tuple(trainer.configuration_manager.patch_size)
    with ThreadPoolExecutor(default_num_processes) as pool:
        # Reading and resampling release Python's lock; blosc2 is used by one thread only.
        label_maps = pool.map(lambda case: on_preprocessed_grid(trainer, case[0], *case[2:4]), cases)
        for (_, made, _, _, facts), label_map in zip(cases, label_maps, strict=True):
            blocks, chunks = comp_blosc2_params(label_map.shape, patch, label_map.itemsize)
            with atomic_output(made) as temporary:
                array = blosc2.asarray(label_map, urlpath=str(temporary), mode="w", chunks=chunks, blocks=blocks)
                store = array.schunk
                store.vlmeta["facts"] = facts


def _facts(made: Path) -> list[int]:
    """Return time, size and shape of the source that :func:`_prepare_folder` stored with a label map."""
    array = blosc2.open(str(made), mode="r")
    store = array.schunk  # the metadata becomes invalid with this object
    return list(store.vlmeta["facts"])


def on_preprocessed_grid(
    trainer: Any, file: Path, properties: dict[str, Any], shape: tuple[int, ...]
) -> npt.NDArray[np.int16]:
    """Preprocess one label map as nnU-Net preprocesses labels: read, transpose, crop and resample.

    Args:
        trainer: Trainer with the plans, the configuration and the labels.
        file: Path of the label map.
        properties: Properties of the preprocessed case.
        shape: Spatial shape of the preprocessed case.

    Returns:
        Labels (1, *shape).

    Raises:
        PasegError: The file is unreadable, on a different grid, or contains a value that is not a class.
    """
    plans, configuration = trainer.plans_manager, trainer.configuration_manager
    if "nibabel_stuff" in properties or len(properties.get("sitk_stuff", {}).get("spacing", ())) == 3:
        read_labels(file)  # nnU-Net's readers accept truncated files and several volumes
    try:
        labels, found = plans.image_reader_writer_class().read_seg(str(file))
    except Exception as error:  # nnU-Net's readers raise different exceptions
        raise PasegError(f"Cannot read the label map {file} ({error}): write it again.") from error
    size = labels.shape[:0:-1]
    labels = labels.transpose([0, *(axis + 1 for axis in plans.transpose_forward)])
    wanted = {key: properties.get(key) for key in found}
    if labels.shape[1:] != tuple(properties["shape_before_cropping"]) or not _is_same_grid(found, wanted, size):
        raise PasegError(
            f"{file} is not on the grid of its image: {labels.shape[1:]} voxels, {found}; the image has "
            f"{tuple(properties['shape_before_cropping'])} voxels, {wanted}. Resample it to the image."
        )
    allowed = [*trainer.label_manager.all_labels, trainer.label_manager.ignore_label]
    values = np.unique(labels)
    if strange := [float(value) for value in values if value not in allowed]:
        raise PasegError(
            f"{file} contains {', '.join(f'{value:g}' for value in strange[:5])}, which is no label of "
            f"{plans.dataset_name}: change the values to those in {trainer.dataset_json['labels']}."
        )
    box = (slice(None), *bounding_box_to_slice(properties["bbox_used_for_cropping"]))
    labels = labels[box]
    spacing = [properties["spacing"][axis] for axis in plans.transpose_forward]
    target = [*spacing[: len(spacing) - len(configuration.spacing)], *configuration.spacing]
    resampled = configuration.resampling_fn_seg(labels, shape, spacing, target)
    return np.ascontiguousarray(resampled, dtype=np.int16)


def _is_same_grid(found: dict[str, Any], wanted: dict[str, Any], size: Sequence[int]) -> bool:
    """Return True if the grids in the properties of two files agree within a part of a voxel.

    Args:
        found: Properties of the label map, from nnU-Net's reader.
        wanted: Properties of the image, from the same reader.
        size: Number of voxels (x, y, z) of both.
    """
    return corner_distance(_affine(wanted), _affine(found), size) <= TOLERANCE


def _affine(properties: dict[str, Any]) -> FloatArray:
    """Return the matrix (4, 4) from voxel indices (x, y, z) to world coordinates."""
    matrix = np.eye(4)
    if stuff := properties.get("sitk_stuff"):
        axes = len(stuff["spacing"])
        matrix[:axes, :axes] = np.reshape(stuff["direction"], (axes, axes)) * np.asarray(stuff["spacing"])
        matrix[:axes, 3] = stuff["origin"]
        return matrix
    if stuff := properties.get("nibabel_stuff"):
        return np.asarray(stuff.get("reoriented_affine", stuff["original_affine"]), dtype=np.float64)
    matrix[:3, :3] = np.diag(properties["spacing"][::-1])
    return matrix


class StackedLabels:
    """Label maps (1, z, y, x) of one case as channels of one array, read when they are indexed."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = layers
        self.shape: tuple[int, ...] = (len(layers), *layers[0].shape[1:])
        self.dtype = np.dtype(np.int16)

    def __getitem__(self, index: Any) -> npt.NDArray[np.int16]:
        return np.concatenate([np.asarray(layer[index]) for layer in self.layers]).astype(np.int16)


class DatasetWithMaps:
    """A dataset whose labels have preprocessed label maps as further channels."""

    def __init__(self, dataset: Any, folders: Sequence[Path]) -> None:
        self.dataset = dataset
        self.folders = folders
        self.identifiers: list[str] = dataset.identifiers

    def load_case(self, identifier: str) -> tuple[Any, StackedLabels, Any, dict[str, Any]]:
        """Return image, labels, labels of a previous stage, and properties."""
        image, labels, previous, properties = self.dataset.load_case(identifier)
        maps = [blosc2.open(os.path.join(folder, f"{identifier}.b2nd"), mode="r") for folder in self.folders]
        return image, StackedLabels([labels, *maps]), previous, properties

    __getitem__ = load_case
