"""The `paseg` command. Every subcommand lives in the module that does its work and adds its own parser."""

import argparse
import sys
from collections.abc import Sequence

from nnunet_paseg import EXT_FOLDER, __version__, report
from nnunet_paseg.checking import check
from nnunet_paseg.demo import demo
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation import evaluate
from nnunet_paseg.nnunet import export

# These modules load torch and nnU-Net inside their functions only, so that `paseg --help` stays instant.
COMMANDS = (check, demo, evaluate, export, report)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status: 0 if it worked, 2 if its input could not be used."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.func(args))
    except PasegError as error:
        print(f"paseg: error: {error}", file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    """The parser of `paseg` with all its subcommands."""
    parser = argparse.ArgumentParser(
        prog="paseg",
        description="Train nnU-Net v2 from seven points per target instead of dense masks.",
        epilog="example: paseg demo",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_trainer_dir(subparsers)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def _add_trainer_dir(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "trainer-dir",
        help="folder in which nnU-Net finds the trainers",
        description="Print the folder in which nnU-Net finds this package's trainers. Once nnUNet_extTrainer names it, "
        "nnU-Net's own commands accept -tr PASegStage1Trainer and the others.",
        epilog='example: export nnUNet_extTrainer="$(paseg trainer-dir)"',
    )
    parser.set_defaults(func=_print_trainer_dir)


def _print_trainer_dir(_: argparse.Namespace) -> int:
    if not EXT_FOLDER.is_dir():
        raise PasegError(f"{EXT_FOLDER}: missing from this installation; install nnunet-paseg again")
    print(EXT_FOLDER)
    return 0
