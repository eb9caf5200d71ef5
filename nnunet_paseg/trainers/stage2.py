"""Stage 2: two networks teach each other by cross knowledge distillation on their own pseudo labels."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from nnunet_paseg.trainers import checks, cross_teaching
from nnunet_paseg.trainers.checkpoints import from_stage1
from nnunet_paseg.trainers.checkpoints.checkpointing import bare
from nnunet_paseg.trainers.data import label_maps
from nnunet_paseg.trainers.students import TwoStudentsTrainer


class PASegStage2Trainer(TwoStudentsTrainer):
    """Self and cross monitoring: two students, and a frozen copy of each as teacher (PA-Seg, section III-C).

    Each student learns what the annotator said as labels, and from both teachers what they find likely. In the paper it
    learns its own teacher's decisions as labels, and the other's probabilities: ``PASegStage2Trainer_paper``.

    A student starts from stage 1, or from label maps in the raw dataset (see label_maps.py). These stand in for its
    teacher until the teachers are first renewed, as labels; there is no distillation from label maps.

    Attributes:
        pseudo_labels: ``soft`` (both teachers' mean logits alone) or ``hard`` (its own teacher's decisions as labels,
            the other's logits).
        distillation_weight: l, the share of the distillation; 0 is learning from labels only, 1 distillation only.
        temperature: T of the distillation.
        refresh_interval: the teachers are renewed after this fraction of the epochs.
        keep_certain: what the annotator said (seeds, background outside every box) overrides hard pseudo labels.
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

    map_folders: tuple[str | None, ...] = (None, None)  # of the label maps that they start from, if any

    def _build_loss(self) -> nn.Module:
        return cross_teaching.CrossTeachingLoss(super()._build_loss(), self)

    def on_train_start(self) -> None:
        """Start from stage 1 or from label maps, unless a training of stage 2 is continued.

        Raises:
            PasegError: hyper-parameters that make no sense, too few epochs, or a checkpoint of stage 1 or a label map
                that cannot be used.
        """
        checks.check_pseudo_labels(self.pseudo_labels)
        checks.check_refreshes(self.refresh_interval, self.epochs_of_teachers(), self.num_epochs)
        if not self.was_initialized:
            self.initialize()
        if self.current_epoch == 0:
            self.map_folders = label_maps.find_folders(self.plans_manager.dataset_name)
            self.load_stage1()
        super().on_train_start()

    def load_stage1(self) -> None:
        """Start the students and their teachers from the final checkpoints of stage 1, or from scratch with label maps.

        Raises:
            PasegError: a checkpoint of stage 1 cannot be used; names the command that makes it.
        """
        students = (self.network, self.auxiliary["network"])
        trainers = ("PASegStage1Trainer", "PASegStage1AuxTrainer")
        for network, name, folder in zip(students, trainers, self.map_folders, strict=True):
            if folder is None:
                self.print_to_log_file("Starting from", from_stage1.load_stage1(bare(network), self, name))
            else:
                self.print_to_log_file(f"Not from {name}: starting from the label maps in {folder}.")
        self.refresh_teachers()

    def refresh_teachers(self) -> None:
        """Freeze the students into the teachers, and calibrate those that have learned something."""
        super().refresh_teachers()
        for number, (teacher, folder) in enumerate(zip(self.teachers, self.maps_in_use(), strict=True), start=1):
            if folder is None:
                self.calibrate(bare(teacher), f"Teacher {number}")

    def epochs_of_teachers(self) -> int:
        """Epochs after which the teachers are renewed."""
        return max(1, round(self.refresh_interval * self.num_epochs))

    def maps_in_use(self) -> tuple[str | None, ...]:
        """Folders of the label maps that stand in for the teachers in this epoch."""
        return self.map_folders if self.current_epoch < self.epochs_of_teachers() else (None, None)

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """The datasets of both stages, with the label maps beside the labels as long as they are in use.

        Raises:
            PasegError: a class without a seed, or a label map that cannot be used.
        """
        training, validation = super().get_tr_and_val_datasets()
        folders = [name for name in dict.fromkeys(self.maps_in_use()) if name is not None]
        if not folders:
            return training, validation
        return label_maps.DatasetWithMaps(training, label_maps.prepare(self, folders, training)), validation

    def on_train_epoch_start(self) -> None:
        interval = self.epochs_of_teachers()
        if self.current_epoch > 0 and self.current_epoch % interval == 0:
            self.refresh_teachers()
            self.print_to_log_file("Teachers refreshed.")
        super().on_train_epoch_start()
        self.auxiliary["network"].train()
        self.auxiliary_scheduler.step(self.current_epoch)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One nnU-Net step for each student, on what the teachers say of the batch."""
        image, targets, valid = self.take_padding(batch)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            logits, decisions = cross_teaching.ask(self.teachers, image, targets[0], self.maps_in_use())
        targets = [target[:, :1] for target in targets]
        hard = self.pseudo_labels == "hard"
        lessons = cross_teaching.lessons(logits, soft=not hard)
        # Label maps are labels, whatever the teachers are.
        labels = [decision if hard or said is None else None for said, decision in zip(logits, decisions, strict=True)]
        try:
            self.loss.valid = valid
            primary = self.train_student(image, targets, labels[0], lessons[0])
            primary_terms = self.loss.terms
            with self.auxiliary_in_place():
                self.train_student(image, targets, labels[1], lessons[1])
        finally:
            self.loss.teacher_logits = self.loss.valid = None
        agreement = (decisions[0] == decisions[1]).float().mean().item()
        terms = {**primary_terms, **{f"{key} (auxiliary)": value for key, value in self.loss.terms.items()}}
        return {**primary, **{key: float(value) for key, value in terms.items()}, "teacher agreement": agreement}

    def train_student(
        self,
        image: torch.Tensor,
        targets: list[torch.Tensor],
        decision: torch.Tensor | None,
        lesson: torch.Tensor | None,
    ) -> dict[str, Any]:
        """nnU-Net's step for the student in place.

        Args:
            image: (b, c, *spatial).
            targets: what the annotator said, finest first, (b, 1, *spatial).
            decision: (b, 1, *spatial), labels for what the annotator left open, if any.
            lesson: (b, classes, *spatial), logits to come near to, if any.
        """
        if decision is not None:
            ignore, keep = self.label_manager.ignore_label, self.keep_certain
            targets = cross_teaching.pseudo_labels(decision, targets, self.loss.valid, ignore, keep_certain=keep)
        self.loss.teacher_logits = lesson
        return super().train_step({"data": image, "target": targets if self.enable_deep_supervision else targets[0]})

    def extra_checkpoint(self) -> dict[str, Any]:
        return {**super().extra_checkpoint(), "map_folders": list(self.map_folders)}

    def load_extra_checkpoint(self, extra: dict[str, Any], file: str) -> None:
        super().load_extra_checkpoint(extra, file)
        self.map_folders = tuple(extra.get("map_folders", (None, None)))
