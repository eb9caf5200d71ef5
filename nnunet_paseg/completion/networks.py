"""The trained networks of a model: one per fold, and both students of stage 2, predicted by nnU-Net's own predictor."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from nnunetv2.inference.data_iterators import preprocessing_iterator_fromfiles
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_paseg.completion.model import checkpoint_file
from nnunet_paseg.errors import PasegError
from nnunet_paseg.nnunet.export import read_json_object
from nnunet_paseg.trainers import PASegStage1AuxTrainer, trainer_class
from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint


class Networks:
    """The networks of some folds of a model. Their logits are averaged, as nnU-Net averages those of several folds.

    Args:
        model: Folder ``nnUNet_results/DatasetXXX_Name/Trainer__Plans__configuration``.
        folds: Folds, all of them trained.
        device: ``cuda``, ``cpu`` or ``mps``.
        num_processes: Number of processes that preprocess cases, and of threads that resample probabilities.

    Raises:
        PasegError: A file is missing or damaged, the trainer is unknown, or the configuration is a cascade.
    """

    def __init__(self, model: Path, folds: Sequence[str], device: str, num_processes: int) -> None:
        self.device, self.num_processes = torch.device(device), num_processes
        self.dataset_json = read_json_object(model / "dataset.json")
        self.plans = PlansManager(read_json_object(model / "plans.json"))
        checkpoints = [read_checkpoint(str(checkpoint_file(model, fold))) for fold in folds]
        self.name: str = checkpoints[0]["init_args"]["configuration"]
        self.configuration = self.plans.get_configuration(self.name)
        self.label_manager = self.plans.get_label_manager(self.dataset_json)
        if self.configuration.previous_stage_name is not None:
            raise PasegError(f"{self.name} is the second stage of a cascade: complete with a different configuration.")
        if self.plans.plans["image_reader_writer"] == "NibabelIOWithReorient":
            raise PasegError(f"{model} was trained on images with reordered axes: plan without NibabelIOWithReorient.")
        trainer: str = checkpoints[0]["trainer_name"]
        self.predictors = [
            self._predictor(checkpoints[0], _find_trainer(trainer), [each["network_weights"] for each in checkpoints])
        ]
        if "auxiliary_weights" in checkpoints[0].get("paseg", {}):
            weights = [each["paseg"]["auxiliary_weights"] for each in checkpoints]
            self.predictors.append(self._predictor(checkpoints[0], PASegStage1AuxTrainer, weights))

    def _predictor(self, checkpoint: dict[str, Any], trainer: Any, weights: list[dict[str, Any]]) -> nnUNetPredictor:
        channels = determine_num_input_channels(self.plans, self.configuration, self.dataset_json)
        heads = self.label_manager.num_segmentation_heads
        network = trainer.build_network_architecture(
            self.plans, self.configuration, channels, heads, enable_deep_supervision=False
        )
        with contextlib.redirect_stdout(io.StringIO()):
            predictor = nnUNetPredictor(device=self.device, allow_tqdm=False)
        predictor.manual_initialization(
            network,
            self.plans,
            self.configuration,
            weights,
            self.dataset_json,
            checkpoint["trainer_name"],
            checkpoint["inference_allowed_mirroring_axes"],
        )
        return predictor

    def preprocessed(self, cases: Sequence[Sequence[Path]]) -> Iterator[tuple[int, torch.Tensor, dict[str, Any]]]:
        """Yield the index of every case with its preprocessed image and its properties, as nnU-Net's prediction does.

        Args:
            cases: For every case, one image file per channel.
        """
        files = [[str(path) for path in images] for images in cases]
        if self.num_processes > 1 and len(cases) > 1:
            names: Any = [str(number) for number in range(len(cases))]
            pinned = self.device.type == "cuda"
            for item in preprocessing_iterator_fromfiles(
                files, None, names, self.plans, self.dataset_json, self.configuration, self.num_processes, pinned
            ):
                yield int(item["ofile"]), item["data"], item["data_properties"]
            return
        preprocessor = self.configuration.preprocessor_class(verbose=False)
        for number, images in enumerate(files):
            data, _, properties = preprocessor.run_case(images, None, self.plans, self.configuration, self.dataset_json)
            yield number, torch.from_numpy(data).float(), properties

    def probabilities(self, data: torch.Tensor, properties: dict[str, Any]) -> npt.NDArray[np.float32]:
        """Return the probability (c, z, y, x) of every label on the grid of the raw image.

        Args:
            data: Preprocessed image (c, z, y, x).
            properties: nnU-Net's properties of the case.
        """
        with contextlib.redirect_stdout(io.StringIO()):
            logits = self.predictors[0].predict_logits_from_preprocessed_data(data).float()
            for predictor in self.predictors[1:]:
                logits += predictor.predict_logits_from_preprocessed_data(data)
            _, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
                logits / len(self.predictors),
                self.plans,
                self.configuration,
                self.label_manager,
                properties,
                return_probabilities=True,
                num_threads_torch=self.num_processes,
            )
        return np.asarray(probabilities, dtype=np.float32)


def _find_trainer(name: str) -> Any:
    """Return a trainer of this package or of nnU-Net, or one in the folders of nnUNet_extTrainer."""
    with contextlib.suppress(AttributeError):
        return trainer_class(name)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return recursive_find_trainer_class_by_name(name)
    except RuntimeError as error:
        raise PasegError(f"nnU-Net finds no trainer {name}: set nnUNet_extTrainer to its folder.") from error
