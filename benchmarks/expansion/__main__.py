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
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.expansion.datasets import load_targets
from benchmarks.expansion.halves import NAMES
from benchmarks.expansion.methods import Cuts, Method, learned, paper
from benchmarks.expansion.phantoms import phantom_targets
from benchmarks.expansion.records import provenance, read_results, replaced, write_results
from benchmarks.expansion.scores import summarise
from benchmarks.expansion.tables import Record, record, reliability_table, table_of_records
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import write_json
from nnunet_paseg.seeds.learned.weights import load_expander

METHODS = ("learned", "paper")


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
        "--foreground", type=float, default=0.7, help="foreground seeds: p above (default: %(default)s)"
    )
    parser.add_argument(
        "--background", type=float, default=0.3, help="background seeds: p below (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, help="maximum number of cases per dataset (default: all)")
    parser.add_argument("--cache", type=Path, help="file that keeps targets and clicks, outside the repository")
    parser.add_argument("--json", type=Path, help="also write the values to this file")
    parser.add_argument("--record", action="store_true", help="also put them into results/expansion.json and its page")
    return parser


def measure(arguments: argparse.Namespace) -> dict[str, list[Record]]:
    """Return the records of all methods that the command line names."""
    methods: dict[str, Method] = {"paper": paper}
    if "learned" in arguments.methods:
        cuts = Cuts(arguments.foreground, arguments.background)
        methods["learned"] = learned(load_expander(arguments.weights), cuts)
    if arguments.data is None:
        targets = phantom_targets(arguments.draws)
    else:
        targets = load_targets(
            arguments.data, arguments.half, draws=arguments.draws, limit=arguments.limit, cache=arguments.cache
        )
    return {
        name: [record(summary) for summary in summarise(name, methods[name], targets)] for name in arguments.methods
    }


def measurements(found: dict[str, list[Record]], arguments: argparse.Namespace, argv: Sequence[str]) -> list[Record]:
    """Return one entry of the committed record per method."""
    origin = provenance("benchmarks.expansion", argv, arguments.data)
    cases = arguments.half if arguments.data else "phantoms"
    sha256 = load_expander(arguments.weights).sha256 if "learned" in found else None
    return [
        {**origin, "cases": cases, "method": name, "weights": sha256 if name == "learned" else None, "rows": rows}
        for name, rows in found.items()
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables and return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.record and arguments.limit:
        parser.error("--record keeps whole halves: leave --limit out")
    torch.set_num_threads(1)
    try:
        found = measure(arguments)
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = [each for records in found.values() for each in records]
    print(table_of_records(rows))
    print(reliability_table(rows))
    entries = measurements(found, arguments, argv)
    if arguments.json:
        write_json(entries, arguments.json)
    if arguments.record:
        results = read_results()
        for entry in entries:
            results["measurements"] = replaced(results["measurements"], entry)
        write_results(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
