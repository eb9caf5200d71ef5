"""`paseg train-expander`: train the expansion network from scratch."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.learned.parameters import TrainingParameters


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg train-expander`."""
    parser = subparsers.add_parser(
        "train-expander",
        help="train the network that expands clicks to masks, on synthetic targets",
        description="Train the network that expands the clicks of a target to its mask. The training data are "
        "synthetic: no image is needed. The package contains trained weights. Train your own after a change of the "
        "shapes or appearances in nnunet_paseg/seeds/learned/synthetic. The same command resumes a stopped training.",
        epilog="example: paseg train-expander my-expander, then paseg convert ... --expander my-expander/expander.pt",
    )
    defaults = TrainingParameters()
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the checkpoint and of expander.pt")
    parser.add_argument(
        "--coarse-steps",
        type=int,
        default=defaults.coarse_steps,
        help="steps on a grid of 24 voxels per axis, which take half the time of the others (default: %(default)s)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=defaults.steps,
        help="steps on the final grid of 32 voxels per axis (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size", type=int, default=defaults.batch_size, help="targets per step (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=defaults.seed, help="seed of weights and targets (default: %(default)s)"
    )
    parser.add_argument("--stop-after", type=int, metavar="N", help="stop after N more steps; a later call continues")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, help="threads of the network on the CPU (default: cores without the workers')"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that make targets (default: %(default)s; 8 to feed a GPU)"
    )
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    import torch

    from nnunet_paseg.seeds.learned.train import train_expander

    if arguments.device not in ("cpu", "cuda"):
        raise PasegError(f"--device is {arguments.device!r}: choose cpu or cuda.")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise PasegError("--device cuda: PyTorch finds no GPU here: choose cpu.")
    torch.set_num_threads(arguments.threads or max(1, (os.cpu_count() or 1) - arguments.workers))
    parameters = TrainingParameters(
        coarse_steps=arguments.coarse_steps,
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
    )
    print(
        train_expander(
            arguments.folder,
            parameters,
            device=torch.device(arguments.device),
            workers=arguments.workers,
            stop_after=arguments.stop_after,
        )
    )
    return 0
