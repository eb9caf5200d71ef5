"""Stage 2: two networks are trained by cross knowledge distillation and on pseudo labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from nnunet_paseg.trainers import checks, cross_teaching
from nnunet_paseg.trainers.checkpoints import from_stage1
from nnunet_paseg.trainers.checkpoints.checkpointing import unwrap
from nnunet_paseg.trainers.data import label_maps
from nnunet_paseg.trainers.step import Step
from nnunet_paseg.trainers.students import TwoStudentsTrainer


class PASegStage2Trainer(TwoStudentsTrainer):
    """Trainer of stage 2, self and cross monitoring: two students, one teacher each (PA-Seg, section III-C).

    Each student is trained on the annotator's labels and distils the mean logits of both teachers. In the paper
    (``PASegStage2Trainer_paper``) its own teacher's predictions are the labels, and it distils the other teacher.

    A student starts from stage 1, or from label maps in the raw dataset (see label_maps.py). These replace its teacher
    as hard labels until the teachers are first refreshed. There is no distillation from label maps.

    Attributes:
        pseudo_labels: ``soft`` (mean logits of both teachers alone) or ``hard`` (labels predicted by its own teacher,
            and the logits of the other teacher).
        distillation_weight: Weight l of the distillation: 0 for labels only, 1 for distillation only.
        temperature: Temperature T of the distillation.
        refresh_interval: Fraction of the epochs between two refreshes of the teachers.
        keep_certain: True if annotator labels (seeds, background outside every box) override hard pseudo labels.
    """

    pseudo_labels: Literal["soft", "hard"] = "soft"
    distillation_weight = 0.5
    temperature = 4.0
    refresh_interval = 0.2
    keep_certain = True
    HYPER_PARAMETERS = (
        "pseudo_labels",
        "distillation_weight",
        "temperature",
        "refresh_interval",
        "keep_certain",
        "calibrate_volumes",
    )

    map_folders: tuple[str | None, ...] = (None, None)  # folders of the label maps that the students start from, if any

    def _build_loss(self) -> nn.Module:
        return cross_teaching.CrossTeachingLoss(super()._build_loss())

    def on_train_start(self) -> None:
        """Start from stage 1 or from label maps, unless a training of stage 2 is continued.

        Raises:
            PasegError: A hyper-parameter is invalid, there are too few epochs, or a checkpoint of stage 1 or a label
                map cannot be used.
        """
        checks.check_pseudo_labels(self.pseudo_labels)
        checks.check_refreshes(self.refresh_interval, self.refresh_period(), self.num_epochs)
        if not self.was_initialized:
            self.initialize()
        if self.current_epoch == 0:
            self.map_folders = label_maps.find_folders(self.plans_manager.dataset_name)
            self.load_stage1()
        super().on_train_start()

    def load_stage1(self) -> None:
        """Load the final checkpoints of stage 1 into the students; with label maps they start from scratch.

        Raises:
            PasegError: A checkpoint of stage 1 cannot be used.
        """
        students = (self.network, self.auxiliary["network"])
        trainers = ("PASegStage1Trainer", "PASegStage1AuxTrainer")
        for network, name, folder in zip(students, trainers, self.map_folders, strict=True):
            if folder is None:
                self.print_to_log_file("Starting from", from_stage1.load_stage1(unwrap(network), self, name))
            else:
                self.print_to_log_file(f"Label maps in {folder} replace {name}.")
        self.refresh_teachers()

    def refresh_teachers(self) -> None:
        """Copy the students to the teachers, and calibrate the teachers that no label maps replace."""
        super().refresh_teachers()
        for number, (teacher, folder) in enumerate(zip(self.teachers, self.maps_in_use(), strict=True), start=1):
            if folder is None:
                self.calibrate(unwrap(teacher), f"Teacher {number}")

    def refresh_period(self) -> int:
        """Return the epochs between two refreshes of the teachers."""
        return max(1, round(self.refresh_interval * self.num_epochs))

    def maps_in_use(self) -> tuple[str | None, ...]:
        """Return the folders of the label maps that replace the teachers in this epoch."""
        return self.map_folders if self.current_epoch < self.refresh_period() else (None, None)

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """Return the datasets, with the label maps as further channels of the labels while they are in use.

        Raises:
            PasegError: A class has no seed, or a label map cannot be used.
        """
        training, validation = super().get_tr_and_val_datasets()
        folders = [name for name in dict.fromkeys(self.maps_in_use()) if name is not None]
        if not folders:
            return training, validation
        return label_maps.DatasetWithMaps(training, label_maps.prepare(self, folders, training)), validation

    def on_train_epoch_start(self) -> None:
        interval = self.refresh_period()
        if self.current_epoch > 0 and self.current_epoch % interval == 0:
            self.refresh_teachers()
            self.print_to_log_file("Teachers refreshed.")
        super().on_train_epoch_start()
        self.auxiliary["network"].train()
        self.auxiliary_scheduler.step(self.current_epoch)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Run one nnU-Net step per student, with the teachers' predictions for the batch."""
        step = self.prepare_batch(batch)
        with torch.no_grad(), self.autocast():
            logits, labels = cross_teaching.teacher_predictions(
                self.teachers, step.image, step.labels, self.maps_in_use()
            )
        primary, auxiliary = self.student_steps(step, logits, labels)
        result = super().train_step({"data": primary.image, "target": primary})
        with self.auxiliary_in_place():
            super().train_step({"data": auxiliary.image, "target": auxiliary})
        agreement = (labels[0] == labels[1]).float().mean().item()
        terms = {**primary.values(), **{f"{key} (auxiliary)": value for key, value in auxiliary.values().items()}}
        return {**result, **terms, "teacher agreement": agreement}

    def student_steps(
        self, step: Step, logits: Sequence[torch.Tensor | None], labels: Sequence[torch.Tensor]
    ) -> list[Step]:
        """Return the steps of the primary and of the auxiliary student.

        Args:
            step: Batch whose targets are the annotator's labels, then one channel per folder of label maps.
            logits: Logits (b, classes, *spatial) of each teacher; None where a label map replaces it.
            labels: Labels (b, 1, *spatial) predicted by each teacher, or those of its label map.
        """
        targets = [part[:, :1] for part in step.targets] if isinstance(step.targets, list) else step.targets[:, :1]
        hard, ignore = self.pseudo_labels == "hard", self.label_manager.ignore_label
        steps = []
        soft = cross_teaching.soft_targets(logits, soft=not hard)
        for own_logits, own_labels, soft_target in zip(logits, labels, soft, strict=True):
            own_targets = targets
            if hard or own_logits is None:  # label maps are always hard labels
                own_targets = cross_teaching.pseudo_labels(
                    own_labels, targets, step.mask, ignore, keep_certain=self.keep_certain
                )
            steps.append(replace(step, targets=own_targets, teacher_logits=soft_target, terms={}))
        return steps

    def extra_checkpoint(self) -> dict[str, Any]:
        return {**super().extra_checkpoint(), "map_folders": list(self.map_folders)}

    def load_extra_checkpoint(self, extra: dict[str, Any], file: str) -> None:
        super().load_extra_checkpoint(extra, file)
        self.map_folders = tuple(extra.get("map_folders", (None, None)))
