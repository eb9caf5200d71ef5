"""The `paseg` command: every subcommand is in the module that does its work, which adds its own parser."""

import argparse
import sys
from collections.abc import Sequence

from nnunet_paseg import EXT_FOLDER, __version__, report
from nnunet_paseg.annotate import annotate
from nnunet_paseg.checking import check
from nnunet_paseg.completion import complete
from nnunet_paseg.conversion.commands import convert
from nnunet_paseg.demo import demo
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation import evaluate
from nnunet_paseg.expansion import expand
from nnunet_paseg.io.console import replace_unprintable
from nnunet_paseg.io.json_output import print_json
from nnunet_paseg.nnunet import check_checkpoint, doctor, export, trainers
from nnunet_paseg.points import template
from nnunet_paseg.seeds.learned import train_expander

# These modules import torch, nnU-Net and pandas inside functions only, so that `paseg --help` stays instant.
COMMANDS = (
    *(annotate, check, check_checkpoint, complete, convert, demo, doctor, evaluate),
    *(expand, export, report, template, train_expander, trainers),
)

EPILOG = """\
example: paseg demo                             the complete pipeline on phantoms

a project of your own, once nnU-Net's three folders are set:
  paseg annotate images points                  click points in the browser, with the masks at once
  paseg template --classes tumor                named points to click in 3D Slicer
  paseg check images points                     find mistakes in images and points
  paseg convert folder images points 101        write the dataset with the expanded seeds
  export nnUNet_extTrainer="$(paseg trainer-dir)"
  paseg doctor                                  why a training would not start, or "ready"
  nnUNetv2_plan_and_preprocess -d 101 -c 3d_fullres
  nnUNetv2_train 101 3d_fullres 0 -tr PASegStage1Trainer
  nnUNetv2_train 101 3d_fullres 0 -tr PASegStage1AuxTrainer
  nnUNetv2_train 101 3d_fullres 0 -tr PASegStage2Trainer
  nnUNetv2_predict -i new -o predictions -d 101 -c 3d_fullres -f 0 -tr PASegStage2Trainer
  paseg expand images points masks              masks of the clicked cases, without training
  paseg complete -d 101 -f 0 -o completed       masks of the clicked cases, with the trained networks
  paseg report -p predictions -i new            one HTML page with every predicted case
  paseg evaluate -p predictions -r masks        scores, where dense masks exist
  paseg export -d 101 -f 0 -o tumor.zip         the model for a stock nnU-Net

paseg COMMAND --help describes each command. Exit status: 0 success, 1 problems found by check,
check-checkpoint or doctor, 2 unusable input.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status: 0 for success, 2 for input that cannot be used."""
    replace_unprintable()
    args = build_parser().parse_args(argv)
    try:
        return int(args.func(args))
    except PasegError as error:
        print(f"paseg: error: {error}", file=sys.stderr)
        if getattr(args, "json", False):
            print_json({"error": str(error)})
        return 2


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `paseg` with all its subcommands."""
    parser = argparse.ArgumentParser(
        prog="paseg",
        description="Train nnU-Net v2 from seven points per target instead of dense masks.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
        description="Print the folder in which nnU-Net finds this package's trainers. Once nnUNet_extTrainer is set to "
        "it, nnU-Net's own commands accept -tr PASegStage1Trainer, PASegStage1AuxTrainer and PASegStage2Trainer.",
        epilog='example: export nnUNet_extTrainer="$(paseg trainer-dir)"',
    )
    parser.set_defaults(func=_print_trainer_dir)


def _print_trainer_dir(_: argparse.Namespace) -> int:
    if not EXT_FOLDER.is_dir():
        raise PasegError(f"{EXT_FOLDER}: missing from this installation; install nnunet-paseg again")
    print(EXT_FOLDER)
    return 0
