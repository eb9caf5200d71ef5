"""A trainer whose checkpoints contain everything that is needed to resume a training."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import distributed, nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DistributedDataParallel

from nnunet_paseg.io.nnunet_folders import nnunet_folder
from nnunet_paseg.trainers.checkpoints import resume, selection


def unwrap(network: nn.Module) -> nn.Module:
    """Return the network inside its DDP and torch.compile wrappers."""
    if isinstance(network, DistributedDataParallel):
        network = network.module
    return network._orig_mod if isinstance(network, OptimizedModule) else network


class CheckpointingTrainer(nnUNetTrainer):
    """nnU-Net's trainer with checkpoints from which a training resumes as if it had not been stopped.

    Attributes:
        save_every: Epochs between two checkpoints (nnU-Net's attribute). There is always one after the first epoch.
    """

    # Set by nnU-Net, which declares no types.
    network: nn.Module
    optimizer: torch.optim.Optimizer
    lr_scheduler: Any
    grad_scaler: Any
    _best_ema: float | None
    oversample_foreground_percent: float

    HYPER_PARAMETERS: tuple[str, ...] = ()
    """Names of the attributes that are logged and stored in every checkpoint."""

    _restore_random_state: Callable[[], None] | None = None

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 (nnU-Net reads this exact signature)
    ) -> None:
        for folder in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            nnunet_folder(folder)  # before nnU-Net creates a folder of the name "~"
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.save_every = 5

    def hyper_parameters(self) -> dict[str, Any]:
        """Return the values of :attr:`HYPER_PARAMETERS`."""
        return {name: getattr(self, name) for name in self.HYPER_PARAMETERS}

    def on_train_start(self) -> None:
        """Start as nnU-Net does, then restore the random state of the training that is resumed."""
        super().on_train_start()
        self.print_to_log_file(f"{type(self).__name__}:", self.hyper_parameters())
        self.logger.update_config({"paseg": self.hyper_parameters()})
        if self.current_epoch == 0 and self.local_rank == 0 and not self.disable_checkpointing:
            for name in resume.rename_old_checkpoints(self.output_folder):
                self.print_to_log_file(f"Renamed an earlier checkpoint to {name}.")
        # After the loaders, whose construction draws from the same generators.
        if self._restore_random_state is not None:
            self._restore_random_state()

    def on_epoch_end(self) -> None:
        """End the epoch as nnU-Net does, and always write a checkpoint after the first epoch."""
        save_every = self.save_every
        if self.current_epoch == 0:
            self.save_every = 1
        try:
            super().on_epoch_end()
        finally:
            self.save_every = save_every

    def extra_checkpoint(self) -> dict[str, Any]:
        """Return what a checkpoint contains in addition to nnU-Net's own content."""
        return {"hyper_parameters": self.hyper_parameters(), "random_state": resume.random_state(self.device)}

    def load_extra_checkpoint(self, extra: dict[str, Any], file: str) -> None:
        """Restore what :meth:`extra_checkpoint` stored.

        Args:
            extra: Content of the checkpoint under ``paseg``.
            file: Path of the checkpoint, for messages.
        """
        for name, value in extra.get("hyper_parameters", {}).items():
            if name in self.hyper_parameters() and getattr(self, name) != value:
                self.print_to_log_file(f"{name} = {value!r} as in {file}, instead of {getattr(self, name)!r}.")
                setattr(self, name, value)
        if "trained_weights" in extra:
            # Earlier versions could store a moving average of the weights as the weights of the checkpoint.
            self.print_to_log_file(f"{file} contains averaged weights: the training continues from them.")
        # With DDP this is the state of the first rank, whose random numbers the other ranks would repeat.
        if "random_state" in extra and not self.is_ddp:
            self._restore_random_state = partial(resume.set_random_state, extra["random_state"], self.device)

    def save_checkpoint(self, filename: str) -> None:
        """Write nnU-Net's checkpoint, with our content under the key ``paseg``, atomically."""
        if self.local_rank != 0 or self.disable_checkpointing:
            return
        buffer = io.BytesIO()
        super().save_checkpoint(buffer)  # type: ignore[arg-type]  # torch.save takes a file as well as a name
        buffer.seek(0)
        checkpoint = torch.load(buffer, map_location="cpu", weights_only=False)
        checkpoint["paseg"] = self.extra_checkpoint()
        resume.write_checkpoint(checkpoint, filename)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:  # type: ignore[override]
        """Restore nnU-Net's state and ours.

        Raises:
            PasegError: The file is damaged, or it is a checkpoint_best that was never written.
        """
        if self.is_ddp:
            distributed.barrier()  # with --val_best the first rank may still be writing it
        selection.check_best(filename_or_checkpoint, Path(filename_or_checkpoint).exists())
        checkpoint = resume.read_checkpoint(filename_or_checkpoint)
        super().load_checkpoint(filename_or_checkpoint)
        self.load_extra_checkpoint(checkpoint.get("paseg", {}), filename_or_checkpoint)
        # nnU-Net saves checkpoint_latest before it updates the best score of the same epoch.
        scores = [score for score in self.logger.get_value("ema_fg_dice", step=None) if not math.isnan(score)]
        self._best_ema = max(scores, default=self._best_ema)
