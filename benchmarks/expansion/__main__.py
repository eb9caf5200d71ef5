"""Measure the expansion of clicks to masks and seeds on real targets, or on phantoms without data.

A target is the largest 26-connected component of a label with at least 60 voxels. Its clicks are simulated 1 to 3
voxels outside each face of its bounding box. The mask is the voxels of the box with p > 0.5.

Examples:
    python -m benchmarks.expansion DATA --half choose --limit 10 --cache /tmp/choose.pkl
    python -m benchmarks.expansion --methods learned paper
DATA contains the dense nnU-Net raw datasets of the list of halves. The default is the folder PASEG_TEST_DATA.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.expansion.datasets import load_targets
from benchmarks.expansion.halves import NAMES
from benchmarks.expansion.methods import Cuts, Method, adaptive, learned, paper
from benchmarks.expansion.phantoms import phantom_targets
from benchmarks.expansion.scores import Summary, summarise
from benchmarks.expansion.tables import record, reliability_table, table
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import write_json
from nnunet_paseg.seeds.learned.weights import load_expander

METHODS = ("learned", "paper", "adaptive")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.expansion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = os.environ.get("PASEG_TEST_DATA")
    parser.add_argument("data", type=Path, nargs="?", default=known and Path(known), help="default: phantoms")
    parser.add_argument("--half", choices=NAMES, default=NAMES[0], help="half of the cases (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=3, help="draws of clicks per target (default: %(default)s)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["learned"], help="default: learned")
    parser.add_argument("--weights", type=Path, help="file of weights (default: the shipped one)")
    parser.add_argument(
        "--foreground", type=float, default=0.9, help="foreground seeds: p above (default: %(default)s)"
    )
    parser.add_argument(
        "--background", type=float, default=0.1, help="background seeds: p below (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, help="maximum number of cases per dataset (default: all)")
    parser.add_argument("--cache", type=Path, help="file that keeps targets and clicks, outside the repository")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser


def measure(arguments: argparse.Namespace) -> list[Summary]:
    """Measure all methods that the command line names."""
    cuts = Cuts(arguments.foreground, arguments.background)
    methods: dict[str, Method] = {"paper": paper, "adaptive": adaptive}
    if "learned" in arguments.methods:
        methods["learned"] = learned(load_expander(arguments.weights), cuts)
    if arguments.data is None:
        targets = phantom_targets(arguments.draws)
    else:
        targets = load_targets(
            arguments.data, arguments.half, draws=arguments.draws, limit=arguments.limit, cache=arguments.cache
        )
    return [summary for name in arguments.methods for summary in summarise(name, methods[name], targets)]


def provenance(argv: Sequence[str], data: Path | None) -> dict[str, str]:
    """Return the command, without the folders of this machine, and the revision of the repository that it ran in."""
    words = ["DATA" if data and Path(word) == data else Path(word).name if os.sep in word else word for word in argv]
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    revision = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return {"command": shlex.join(["python", "-m", "benchmarks.expansion", *words]), "revision": revision}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables and return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args(argv)
    torch.set_num_threads(1)
    try:
        summaries = measure(arguments)
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(summaries))
    print(reliability_table(summaries))
    if arguments.json:
        write_json(
            {**provenance(argv, arguments.data), "rows": [record(summary) for summary in summaries]}, arguments.json
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
