"""Training of the expansion network on synthetic targets: first on a coarse canonical grid, then on the fine one."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.io.processor import fast_bfloat16, make_exact
from nnunet_paseg.seeds.learned.layout import Layout
from nnunet_paseg.seeds.learned.network import ExpansionNetwork
from nnunet_paseg.seeds.learned.parameters import TrainingParameters
from nnunet_paseg.seeds.learned.synthetic.sample import random_channels, random_sample
from nnunet_paseg.seeds.learned.weights import weights_bytes

Batch = tuple[torch.Tensor, torch.Tensor]


COARSE, FINE = Layout(24, 4), Layout(32, 4)
"""Canonical grids of the two phases."""

LAST_DICE = 0.5
"""Weight of the Dice loss in the second half of the fine steps, as a share of that at the beginning."""

LOGIT_BIAS = 0.3
"""Correction of the logits of the trained network.

On real targets the sum of its probabilities is 0.95 of the volume: annotators include more of the partial volume at the
border than the synthetic masks do. Chosen on the choosing half of the cases.
"""

AVERAGE = 0.998
"""Decay per step of the moving average of the weights, which is the network that is kept."""

SAVE_EVERY = 200
"""Steps between two checkpoints."""


class _Batches(Dataset[Batch]):
    """Batches of synthetic targets. Each has a random generator of its own, so that the workers have no effect."""

    def __init__(self, layout: Layout, parameters: TrainingParameters, first: int, last: int) -> None:
        self.layout, self.parameters, self.first, self.last = layout, parameters, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng([self.parameters.seed, self.layout.size, self.first + index])
        channels = random_channels(rng)
        samples = [random_sample(rng, self.layout, channels=channels) for _ in range(self.parameters.batch_size)]
        maps = torch.from_numpy(np.stack([sample.maps for sample in samples]))
        return maps, torch.from_numpy(np.stack([sample.target for sample in samples])[:, None]).float()


def train_expander(
    folder: Path, parameters: TrainingParameters, *, device: torch.device, workers: int, stop_after: int | None = None
) -> Path:
    """Train an expansion network, or resume a training that was stopped.

    Args:
        folder: Folder of the checkpoint and, at the end, of the weights ``expander.pt``.
        parameters: Hyper-parameters. A training is continued with the same ones only.
        device: Device of the network.
        workers: Processes that make targets.
        stop_after: Number of steps after which to stop, for a later call to go on.

    Returns:
        File of the weights, from the last checkpoint if the training is not finished.

    Raises:
        PasegError: The folder contains a training with other hyper-parameters.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(parameters.seed)
    network = ExpansionNetwork().to(device)
    make_exact(network)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE))  # type: ignore[no-untyped-call]
    kept: Any = average.module  # an ExpansionNetwork, which PyTorch does not declare
    done = 0
    states: dict[str, Any] = {}
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        states = torch.load(checkpoint, map_location=device, weights_only=True)
        if states["parameters"] != asdict(parameters):
            raise PasegError(
                f"{folder} contains a training with other hyper-parameters, {states['parameters']}: choose a new "
                "folder, or pass the same ones to resume it."
            )
        network.load_state_dict(states["network"])
        average.load_state_dict(states["average"])
        done = int(states["step"])
    last = parameters.coarse_steps + parameters.steps
    end = last if stop_after is None else min(last, done + stop_after)
    for layout, start, stop in ((COARSE, 0, parameters.coarse_steps), (FINE, parameters.coarse_steps, last)):
        if done >= min(stop, end):
            continue
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=parameters.weight_decay)
        if done > start:
            optimizer.load_state_dict(states["optimizer"])
        batches = DataLoader(
            _Batches(layout, parameters, done, min(stop, end)),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_one_thread,
        )
        peak = parameters.learning_rate * (2 if layout == COARSE else 1)
        losses: list[float] = []
        with (
            tqdm(batches, initial=done - start, total=stop - start, desc=f"{layout.size}^3", unit="step") as bar,
            (folder / "loss.csv").open("a", encoding="utf-8") as log,
        ):
            for maps, target in bar:
                progress = (done - start) / (stop - start)
                for group in optimizer.param_groups:
                    group["lr"] = peak * one_cycle(progress)
                dice = parameters.dice * (1.0 if layout == COARSE else max(LAST_DICE, 1 - 2 * progress))
                losses.append(_step(network, optimizer, maps.to(device), target.to(device), layout, dice))
                average.update_parameters(network)
                done += 1
                bar.set_postfix(loss=f"{np.mean(losses[-100:]):.3f}", refresh=False)
                if done % SAVE_EVERY == 0 or done in (stop, end):
                    log.write(f"{done},{layout.size},{np.mean(losses[-SAVE_EVERY:]):.4f}\n")
                    log.flush()
                    states = {
                        "parameters": asdict(parameters),
                        "network": network.state_dict(),
                        "average": average.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "step": done,
                    }
                    with atomic_output(checkpoint) as path:
                        torch.save(states, path)
                    with atomic_output(folder / "expander.pt") as path:
                        path.write_bytes(weights_bytes(corrected(kept), layout))
    return folder / "expander.pt"


def corrected(network: ExpansionNetwork) -> ExpansionNetwork:
    """Return a copy of a network whose logits are larger by :data:`LOGIT_BIAS`."""
    copy = deepcopy(network)
    with torch.no_grad():
        copy.get_parameter("logit.bias").add_(LOGIT_BIAS)
    return copy


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)


def one_cycle(progress: float) -> float:
    """Return the learning rate as a fraction of the highest: up in the first tenth, then down by half a cosine."""
    if progress < 0.1:
        return 0.04 + 0.96 * progress / 0.1
    return 0.5 * (1 + math.cos(math.pi * (progress - 0.1) / 0.9)) + 1e-4


def _step(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    maps: torch.Tensor,
    target: torch.Tensor,
    layout: Layout,
    dice: float,
) -> float:
    """Take one step and return the cross-entropy."""
    with torch.autocast(maps.device.type, torch.bfloat16, enabled=fast_bfloat16(maps.device)):
        logits = network(maps)
    inner = (..., *(slice(layout.context, layout.size - layout.context),) * 3)
    logits, target = logits[inner].float(), target[inner]
    entropy = F.binary_cross_entropy_with_logits(logits, target)
    probability = logits.sigmoid()
    overlap = (2 * (probability * target).sum((1, 2, 3, 4)) + 1) / ((probability + target).sum((1, 2, 3, 4)) + 1)
    optimizer.zero_grad(set_to_none=True)
    (entropy + dice * (1 - overlap.mean())).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    optimizer.step()
    return float(entropy.detach())
