"""`paseg trainers`: the names that nnU-Net accepts after -tr."""

from __future__ import annotations

import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg trainers`."""
    parser = subparsers.add_parser(
        "trainers",
        help="list the trainers and the suffixes of their names",
        description="List the trainers, and the suffixes that change a training. Suffixes can be in any order.",
        epilog="example: nnUNetv2_train 101 3d_fullres 0 -tr PASegStage2Trainer_nomirroring_50epochs",
    )
    parser.set_defaults(func=_run)


def _run(_: argparse.Namespace) -> int:
    from nnunet_paseg.trainers.names import PLAIN_NAMES, SUFFIXES  # loads torch

    print(f"{_table(PLAIN_NAMES)}\n\nsuffixes:\n{_table(SUFFIXES)}")
    return 0


def _table(texts: dict[str, str]) -> str:
    width = max(map(len, texts))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in texts.items())
