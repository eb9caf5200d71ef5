"""`paseg doctor`: what is wrong with an installation, and the remedy."""

from __future__ import annotations

import argparse

from nnunet_paseg.nnunet.installation import Fault, build_faults, device_faults, nnunet_faults, trainer_faults
from nnunet_paseg.nnunet.machine import folder_faults, shared_memory_faults

READY = "ready"


def find_faults(device: str) -> list[Fault]:
    """Return the faults of this installation, those of the libraries first.

    Args:
        device: Device of the training, ``cuda``, ``cpu`` or ``mps``.
    """
    faults = [*nnunet_faults(), *build_faults()]
    if not any(fault.stops_training for fault in faults):  # the trainers cannot be imported without these libraries
        faults += [*device_faults(device), *trainer_faults()]
    return [*faults, *folder_faults(), *shared_memory_faults()]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="find out why a training would not start",
        description="Check the version of nnU-Net, its three folders, the folder of the trainers, PyTorch, the GPU, "
        "the free space and the shared memory. Print each fault with its remedy, or 'ready'. Call it in the terminal, "
        "the container or the job in which nnU-Net will run. Exit status: 0 training can start, 1 training would fail.",
        epilog="example: paseg doctor --device cpu",
    )
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu", "mps"),
        default="cuda",
        help="device of the training, as for nnUNetv2_train -device (default: %(default)s)",
    )
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    faults = find_faults(arguments.device)
    for fault in faults:
        print(fault.message if fault.stops_training else f"warning: {fault.message}")
    if any(fault.stops_training for fault in faults):
        return 1
    print(READY)
    return 0
