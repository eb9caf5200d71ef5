"""Stage 2: two networks teach each other by cross knowledge distillation on their own pseudo labels."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from batchgenerators.utilities.file_and_folder_operations import isfile, join
from nnunetv2.paths import nnUNet_results
from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from nnunet_paseg.errors import PasegError
from nnunet_paseg.losses import distillation_loss
from nnunet_paseg.trainers.base import PASegTrainer
from nnunet_paseg.trainers.stage1 import PASegStage1AuxTrainer


class CrossTeachingLoss(nn.Module):
    """(1 - l) (Dice + CE) on a student's own pseudo labels + l KD from the other's teacher (PA-Seg, equation 11).

    ``teacher_logits`` and ``valid`` are set before every training step; without them the loss is nnU-Net's alone, as in
    validation.
    """

    def __init__(self, supervised: nn.Module, trainer: PASegStage2Trainer) -> None:
        super().__init__()
        self.supervised = supervised
        self.trainer = trainer
        self.teacher_logits: torch.Tensor | None = None
        self.valid: torch.Tensor | None = None
        self.terms: dict[str, float] = {}

    def forward(
        self, output: torch.Tensor | list[torch.Tensor], target: torch.Tensor | list[torch.Tensor]
    ) -> torch.Tensor:
        """The weighted sum; ``output`` and ``target`` as nnU-Net passes them."""
        supervised: torch.Tensor = self.supervised(output, target)
        if self.teacher_logits is None:
            return supervised
        finest = output[0] if isinstance(output, list | tuple) else output
        share = self.trainer.distillation_weight
        distillation = distillation_loss(
            finest, self.teacher_logits, temperature=self.trainer.temperature, mask=self.valid
        )
        self.terms = {"supervised": supervised.item(), "distillation": distillation.item()}
        return (1 - share) * supervised + share * distillation


class PASegStage2Trainer(PASegTrainer):
    """Self and cross monitoring: two students, and a frozen copy of each as teacher (PA-Seg, section III-C).

    Each student learns hard pseudo labels from its own teacher and soft ones from the other's. The primary network is
    nnU-Net's ``self.network``, so prediction, export and validation are nnU-Net's own.

    Attributes:
        distillation_weight: l, the share of the distillation; 0 is self-training only, 1 distillation only.
        temperature: T of the distillation.
        refresh_interval: the teachers are renewed after this fraction of the epochs.
        keep_certain: what the annotator said (seeds, background outside every box) overrides pseudo labels.
    """

    HYPER_PARAMETERS = ("distillation_weight", "temperature", "refresh_interval", "keep_certain")

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.distillation_weight = 0.5
        self.temperature = 4.0
        self.refresh_interval = 0.2
        self.keep_certain = True
        self.auxiliary: dict[str, Any] = {}  # the second student: its network, optimizer and grad_scaler
        self.teachers: list[nn.Module] = []  # of the primary and of the auxiliary student

    def initialize(self) -> None:
        """Build the primary student as nnU-Net does, then the auxiliary one in the same way."""
        oversample = self.oversample_foreground_percent
        super().initialize()
        own, scheduler = self._student(), self.lr_scheduler
        # With DDP nnU-Net turns the share of the whole batch into this rank's, which must not happen twice.
        self.was_initialized, self.oversample_foreground_percent = False, oversample
        self.build_network_architecture = PASegStage1AuxTrainer.build_network_architecture  # type: ignore[method-assign]
        try:
            super().initialize()
        finally:
            del self.build_network_architecture  # type: ignore[method-assign]
        self.auxiliary = self._student()
        self.auxiliary["grad_scaler"] = copy.deepcopy(own["grad_scaler"])
        self.auxiliary_scheduler = self.lr_scheduler
        self.lr_scheduler = scheduler
        self._put(own)
        self.teachers = [
            copy.deepcopy(_bare(student["network"])).eval().requires_grad_(False) for student in (own, self.auxiliary)
        ]
        for teacher in self.teachers:
            teacher.decoder.deep_supervision = False  # type: ignore[union-attr]

    def _build_loss(self) -> nn.Module:
        return CrossTeachingLoss(super()._build_loss(), self)

    def _student(self) -> dict[str, Any]:
        return {"network": self.network, "optimizer": self.optimizer, "grad_scaler": self.grad_scaler}

    def _put(self, student: dict[str, Any]) -> None:
        for name, value in student.items():
            setattr(self, name, value)

    @contextmanager
    def auxiliary_in_place(self) -> Iterator[None]:
        """Let nnU-Net's methods act on the auxiliary student."""
        own = self._student()
        self._put(self.auxiliary)
        try:
            yield
        finally:
            self._put(own)

    def on_train_start(self) -> None:
        if not self.was_initialized:
            self.initialize()
        if self.current_epoch == 0:
            self.load_stage1()
        super().on_train_start()

    def load_stage1(self) -> None:
        """Start both students and their teachers from the final checkpoints of stage 1.

        Raises:
            PasegError: a stage-1 checkpoint is missing; names the command that makes it.
        """
        files = [self.stage1_checkpoint(name) for name in ("PASegStage1Trainer", "PASegStage1AuxTrainer")]
        for network, file in zip((self.network, self.auxiliary["network"]), files, strict=True):
            self.print_to_log_file(f"Starting from {file}")
            checkpoint = torch.load(file, map_location=self.device, weights_only=False)
            _bare(network).load_state_dict(checkpoint["network_weights"])
        self.refresh_teachers()

    def stage1_checkpoint(self, trainer: str) -> str:
        """Final checkpoint of a stage-1 training on the same dataset, plans, configuration and fold.

        A variant (``PASegStage2Trainer_50epochs``) looks for the same variant of stage 1 first, then for the plain one.
        """
        variant = type(self).__name__.removeprefix("PASegStage2Trainer")
        plans, dataset = self.plans_manager.plans_name, self.plans_manager.dataset_name
        for name in dict.fromkeys((trainer + variant, trainer)):
            folder = f"{name}__{plans}__{self.configuration_name}"
            file = join(nnUNet_results, dataset, folder, f"fold_{self.fold}", "checkpoint_final.pth")
            if isfile(file):
                return file
        command = f"nnUNetv2_train {dataset} {self.configuration_name} {self.fold} -tr {trainer + variant} -p {plans}"
        device = "" if self.device.type == "cuda" else f" -device {self.device.type}"
        raise PasegError(f"Stage 2 starts from stage 1, and {file} is missing. Train it first:\n    {command}{device}")

    def refresh_teachers(self) -> None:
        """Freeze the students' present weights into the teachers."""
        students = (self.network, self.auxiliary["network"])
        for teacher, student in zip(self.teachers, students, strict=True):
            teacher.load_state_dict(_bare(student).state_dict())

    def on_train_epoch_start(self) -> None:
        interval = max(1, round(self.refresh_interval * self.num_epochs))
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
            primary_logits, auxiliary_logits = (teacher(image) for teacher in self.teachers)
        try:
            self.loss.valid = valid
            self.loss.teacher_logits = auxiliary_logits
            primary = super().train_step({"data": image, "target": self.pseudo_labels(primary_logits, targets, valid)})
            primary_terms = self.loss.terms
            with self.auxiliary_in_place():
                self.loss.teacher_logits = primary_logits
                super().train_step({"data": image, "target": self.pseudo_labels(auxiliary_logits, targets, valid)})
        finally:
            self.loss.teacher_logits = self.loss.valid = None
        agreement = (primary_logits.argmax(1) == auxiliary_logits.argmax(1)).float().mean().item()
        auxiliary_terms = {f"{key} (auxiliary)": value for key, value in self.loss.terms.items()}
        return {**primary, **primary_terms, **auxiliary_terms, "teacher agreement": agreement}

    def pseudo_labels(
        self, logits: torch.Tensor, targets: list[torch.Tensor], valid: torch.Tensor
    ) -> torch.Tensor | list[torch.Tensor]:
        """Targets of a student: its teacher's decision, and what the annotator said where that is kept.

        Args:
            logits: (b, c, *spatial) of the student's own teacher.
            targets: nnU-Net's targets, finest first, (b, 1, *spatial).
            valid: (b, 1, *spatial), False in padding, which stays ignored.
        """
        ignore = self.label_manager.ignore_label
        decision = logits.argmax(dim=1, keepdim=True).to(targets[0].dtype)
        unknown = targets[0] == ignore if self.keep_certain else torch.ones_like(valid)
        labels = torch.where(unknown & valid, decision, torch.where(valid, targets[0], ignore))
        if not self.enable_deep_supervision:
            return labels
        # As nnU-Net makes its own coarse targets; nearest-exact needs a floating point image.
        return [
            functional.interpolate(labels.float(), target.shape[2:], mode="nearest-exact").to(labels.dtype)
            for target in targets
        ]

    def extra_checkpoint(self) -> dict[str, Any]:
        scaler = self.auxiliary["grad_scaler"]
        return {
            **super().extra_checkpoint(),
            "auxiliary_weights": _bare(self.auxiliary["network"]).state_dict(),
            "auxiliary_optimizer": self.auxiliary["optimizer"].state_dict(),
            "auxiliary_scaler": None if scaler is None else scaler.state_dict(),
            "teacher_weights": [teacher.state_dict() for teacher in self.teachers],
        }

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:  # type: ignore[override]
        """Both students, both teachers and nnU-Net's own state."""
        super().load_checkpoint(filename_or_checkpoint)
        own = torch.load(filename_or_checkpoint, map_location=self.device, weights_only=False)["paseg"]
        _bare(self.auxiliary["network"]).load_state_dict(own["auxiliary_weights"])
        self.auxiliary["optimizer"].load_state_dict(own["auxiliary_optimizer"])
        if self.auxiliary["grad_scaler"] is not None and own["auxiliary_scaler"] is not None:
            self.auxiliary["grad_scaler"].load_state_dict(own["auxiliary_scaler"])
        for teacher, weights in zip(self.teachers, own["teacher_weights"], strict=True):
            teacher.load_state_dict(weights)


def _bare(network: nn.Module) -> nn.Module:
    """The network inside its DDP and torch.compile wrappers."""
    if isinstance(network, DistributedDataParallel):
        network = network.module
    return network._orig_mod if isinstance(network, OptimizedModule) else network
