"""Two students of different architecture in one nnU-Net trainer, and their teachers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers.base import PASegTrainer
from nnunet_paseg.trainers.checkpoints.checkpointing import unwrap
from nnunet_paseg.trainers.stage1 import PASegStage1AuxTrainer


class TwoStudentsTrainer(PASegTrainer):
    """A trainer that builds, stores and restores two students and their teachers.

    The primary student is nnU-Net's ``self.network``, so that prediction, export and validation are nnU-Net's own.
    Within :meth:`auxiliary_in_place` nnU-Net's methods act on the auxiliary student.
    """

    auxiliary: dict[str, Any]  # network, optimizer and grad_scaler of the auxiliary student
    teachers: list[nn.Module]  # teachers of the primary and of the auxiliary student

    def initialize(self) -> None:
        """Build the primary student as nnU-Net does, then the auxiliary one in the same way."""
        oversample = self.oversample_foreground_percent
        super().initialize()
        own, scheduler = self._student(), self.lr_scheduler
        # With DDP nnU-Net divides the oversampling among the ranks, which must not happen twice.
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

    def _frozen(self, student: nn.Module) -> nn.Module:
        """Return a copy that is not trained, has the full-resolution output only, and is compiled like the student."""
        teacher = copy.deepcopy(unwrap(student)).eval().requires_grad_(False)
        teacher.decoder.deep_supervision = False  # type: ignore[union-attr]
        return torch.compile(teacher) if self._do_i_compile() else teacher  # type: ignore[return-value]

    def _student(self) -> dict[str, Any]:
        names = ("network", "optimizer", "grad_scaler")
        return {name: getattr(self, name) for name in names}

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

    def refresh_teachers(self) -> None:
        """Copy the current weights of the students to the teachers."""
        students = (self.network, self.auxiliary["network"])
        for teacher, student in zip(self.teachers, students, strict=True):
            unwrap(teacher).load_state_dict(unwrap(student).state_dict())

    def calibrate_all(self) -> None:
        """Calibrate both students, since both can be exported."""
        super().calibrate_all()
        self.calibrate(unwrap(self.auxiliary["network"]), "The auxiliary network")

    def extra_checkpoint(self) -> dict[str, Any]:
        scaler = self.auxiliary["grad_scaler"]
        return {
            **super().extra_checkpoint(),
            "auxiliary_weights": unwrap(self.auxiliary["network"]).state_dict(),
            "auxiliary_optimizer": self.auxiliary["optimizer"].state_dict(),
            "auxiliary_scaler": None if scaler is None else scaler.state_dict(),
            "teacher_weights": [unwrap(teacher).state_dict() for teacher in self.teachers],
        }

    def load_extra_checkpoint(self, extra: dict[str, Any], file: str) -> None:
        """Restore the auxiliary student and both teachers too.

        Raises:
            PasegError: The file is a checkpoint of a different trainer.
        """
        if "auxiliary_weights" not in extra:
            raise PasegError(f"{file} is not a checkpoint of stage 2: delete it and start without --c.")
        super().load_extra_checkpoint(extra, file)
        unwrap(self.auxiliary["network"]).load_state_dict(extra["auxiliary_weights"])
        self.auxiliary["optimizer"].load_state_dict(extra["auxiliary_optimizer"])
        if self.auxiliary["grad_scaler"] is not None and extra["auxiliary_scaler"] is not None:
            self.auxiliary["grad_scaler"].load_state_dict(extra["auxiliary_scaler"])
        for teacher, weights in zip(self.teachers, extra["teacher_weights"], strict=True):
            unwrap(teacher).load_state_dict(weights)
