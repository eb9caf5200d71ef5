"""Stage 2: two networks teach each other by cross knowledge distillation on their own pseudo labels."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DistributedDataParallel

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers import checks, cross_teaching, from_stage1
from nnunet_paseg.trainers.base import PASegTrainer
from nnunet_paseg.trainers.stage1 import PASegStage1AuxTrainer


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
        self.teachers = [self._frozen(student["network"]) for student in (own, self.auxiliary)]

    def _build_loss(self) -> nn.Module:
        return cross_teaching.CrossTeachingLoss(super()._build_loss(), self)

    def _frozen(self, student: nn.Module) -> nn.Module:
        """A copy that is never trained, gives its finest output alone, and is compiled where the students are."""
        teacher = copy.deepcopy(_bare(student)).eval().requires_grad_(False)
        teacher.decoder.deep_supervision = False  # type: ignore[union-attr]
        return torch.compile(teacher) if self._do_i_compile() else teacher  # type: ignore[return-value]

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
        """Start from stage 1, unless a training of stage 2 is continued.

        Raises:
            PasegError: too few epochs, or a checkpoint of stage 1 is missing, damaged, or of something else.
        """
        checks.check_refreshes(self.refresh_interval, self.num_epochs)
        if not self.was_initialized:
            self.initialize()
        if self.current_epoch == 0:
            self.load_stage1()
        super().on_train_start()

    def load_stage1(self) -> None:
        """Start both students and their teachers from the final checkpoints of stage 1.

        Raises:
            PasegError: a checkpoint of stage 1 cannot be used; names the command that makes it.
        """
        students = (self.network, self.auxiliary["network"])
        for network, name in zip(students, ("PASegStage1Trainer", "PASegStage1AuxTrainer"), strict=True):
            self.print_to_log_file("Starting from", from_stage1.load_stage1(_bare(network), self, name))
        self.refresh_teachers()

    def refresh_teachers(self) -> None:
        """Freeze the students' present weights into the teachers."""
        students = (self.network, self.auxiliary["network"])
        for teacher, student in zip(self.teachers, students, strict=True):
            _bare(teacher).load_state_dict(_bare(student).state_dict())

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
        terms = {**primary_terms, **{f"{key} (auxiliary)": value for key, value in self.loss.terms.items()}}
        return {**primary, **{key: float(value) for key, value in terms.items()}, "teacher agreement": agreement}

    def pseudo_labels(
        self, logits: torch.Tensor, targets: list[torch.Tensor], valid: torch.Tensor
    ) -> torch.Tensor | list[torch.Tensor]:
        """:func:`~nnunet_paseg.trainers.cross_teaching.pseudo_labels` as nnU-Net's loss takes them."""
        ignore = self.label_manager.ignore_label
        labels = cross_teaching.pseudo_labels(logits, targets, valid, ignore, keep_certain=self.keep_certain)
        return labels if self.enable_deep_supervision else labels[0]

    def extra_checkpoint(self) -> dict[str, Any]:
        scaler = self.auxiliary["grad_scaler"]
        return {
            **super().extra_checkpoint(),
            "auxiliary_weights": _bare(self.auxiliary["network"]).state_dict(),
            "auxiliary_optimizer": self.auxiliary["optimizer"].state_dict(),
            "auxiliary_scaler": None if scaler is None else scaler.state_dict(),
            "teacher_weights": [_bare(teacher).state_dict() for teacher in self.teachers],
        }

    def load_extra_checkpoint(self, extra: dict[str, Any], file: str) -> None:
        """The auxiliary student and both teachers too.

        Raises:
            PasegError: the file is of another trainer.
        """
        if "auxiliary_weights" not in extra:
            raise PasegError(f"{file} is no checkpoint of stage 2. Delete it and start without --c.")
        super().load_extra_checkpoint(extra, file)
        _bare(self.auxiliary["network"]).load_state_dict(extra["auxiliary_weights"])
        self.auxiliary["optimizer"].load_state_dict(extra["auxiliary_optimizer"])
        if self.auxiliary["grad_scaler"] is not None and extra["auxiliary_scaler"] is not None:
            self.auxiliary["grad_scaler"].load_state_dict(extra["auxiliary_scaler"])
        for teacher, weights in zip(self.teachers, extra["teacher_weights"], strict=True):
            _bare(teacher).load_state_dict(weights)


def _bare(network: nn.Module) -> nn.Module:
    """The network inside its DDP and torch.compile wrappers."""
    if isinstance(network, DistributedDataParallel):
        network = network.module
    return network._orig_mod if isinstance(network, OptimizedModule) else network
