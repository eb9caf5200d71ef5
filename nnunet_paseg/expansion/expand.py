"""`paseg expand`: the masks of clicked cases."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.cluster import add_dask_argument
from nnunet_paseg.io.json_output import add_json_argument, print_json


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg expand`."""
    parser = subparsers.add_parser(
        "expand",
        help="write the masks of clicked cases",
        description="Expand the clicks of every case to a mask, by a network that is trained on synthetic targets. "
        "The same command resumes: finished cases are kept, unless their files have changed. "
        "Exit status: 0 all cases have masks, 2 some cases or a folder cannot be used.",
        epilog="example: paseg expand images points masks --classes tumor edema --channel-names T1 T2",
    )
    parser.add_argument("images", type=Path, help="folder of images: CASE.nii.gz, or CASE_0000.nii.gz and so on")
    parser.add_argument("points", type=Path, help="folder of points (may be the same): CASE.mrk.json, CASE.csv, ...")
    parser.add_argument("output", type=Path, help="new folder of the masks, CASE.nii.gz")
    parser.add_argument("--classes", nargs="+", default=["target"], help="classes of the points (default: target)")
    parser.add_argument("--channel-names", nargs="+", default=["MRI"], help="one name per channel (default: MRI)")
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="also write probabilities/CASE_CLASS.nii.gz, 0 to 255 for probabilities from 0 to 1",
    )
    parser.add_argument(
        "--expander",
        type=Path,
        metavar="FILE",
        help="weights of a network of your own (default: those of this package)",
    )
    parser.add_argument(
        "--num-processes", type=int, default=4, help="number of cases expanded at the same time (default: %(default)s)"
    )
    parser.add_argument(
        "--with",
        dest="segmenter",
        choices=("network", "masks"),
        default="network",
        help="masks by the network, or masks of a different tool that are compared with the clicks (default: network)",
    )
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="FOLDER",
        help="folder of masks for --with masks: CASE.nii.gz, labels 1, 2, ...",
    )
    add_dask_argument(parser)
    parser.add_argument("--num-parts", type=int, default=1, help="number of parts, for several machines (default: 1)")
    parser.add_argument("--part-id", type=int, default=0, help="index of this part, from 0 (default: 0)")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="expand all cases again, and delete masks that were made with other options",
    )
    add_json_argument(parser)
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    if (arguments.segmenter == "masks") != (arguments.masks is not None):
        raise PasegError("--with masks and --masks FOLDER belong together: pass both.")
    from nnunet_paseg.expansion.cases import expand_folder
    from nnunet_paseg.expansion.plan import ExpansionPlan
    from nnunet_paseg.expansion.summary import summary, to_json
    from nnunet_paseg.seeds.learned.weights import load_expander

    plan = ExpansionPlan(
        class_names=tuple(arguments.classes),
        channel_names=tuple(arguments.channel_names),
        expander=arguments.expander,
        sha256=None if arguments.masks else load_expander(arguments.expander).sha256,
        probabilities=arguments.probabilities,
        masks=arguments.masks,
    )
    result = expand_folder(
        arguments.images,
        arguments.points,
        arguments.output,
        plan,
        num_processes=arguments.num_processes,
        dask=arguments.dask,
        num_parts=arguments.num_parts,
        part_id=arguments.part_id,
        overwrite=arguments.overwrite,
    )
    if arguments.json:
        print_json(to_json(result, arguments.output))
    else:
        print(summary(result, plan), flush=True)
    for _, problem in sorted(result.problems.items()):
        print(f"paseg: error: {' '.join(problem.split())}", file=sys.stderr)
    return 2 if result.problems else 0
