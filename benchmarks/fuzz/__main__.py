"""Fuzz the readers of point files and images, and write a table of the outcomes.

Example:
    python -m benchmarks.fuzz --points 20000 --images 2000 --seed 0 --jobs 2
The exit status is 1 if a trial violates the rules. The command that repeats it is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy
import SimpleITK as sitk
from tqdm import tqdm

from benchmarks.fuzz.outcome import RIGHT, WRONG, Trial
from benchmarks.fuzz.processes import run_all
from benchmarks.fuzz.trial import run_trial
from nnunet_paseg.io.files import atomic_output

RESULTS = Path(__file__).resolve().parents[1] / "results"
SHOWN = 3
"""Violations of one kind that are printed."""


def table(results: Sequence[Trial], columns: Sequence[str]) -> str:
    """Return the outcomes in Markdown, one row per combination of values.

    Args:
        results: All trials.
        columns: Attributes of the trials that the rows distinguish.
    """
    titles = (*columns, "number", "same result", "message", "any result", "violations")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    groups: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for trial in results:
        groups[tuple(getattr(trial, column) for column in columns)][trial.outcome] += 1
    total = ("**all**", *[""] * (len(columns) - 1))
    rows = [*sorted(groups.items()), (total, Counter(trial.outcome for trial in results))]
    for group, counts in rows:
        values = [counts.total(), *(counts[outcome] for outcome in RIGHT), sum(counts[outcome] for outcome in WRONG)]
        lines.append(f"| {' | '.join(map(str, (*group, *values)))} |")
    return "\n".join(lines) + "\n"


def page(results: Sequence[Trial], command: str) -> str:
    """Return both tables with their command and the versions of the libraries."""
    versions = f"numpy {np.__version__}, scipy {scipy.__version__}, SimpleITK {sitk.Version_VersionString()}"
    return f"""# Mutated point files and images

    {command}

{table(results, ["mutation", "kind"])}
{versions}.

* same result: the label map, or the voxels and the grid, of the original file.
* message: an error that names the file.
* any result: mutations of values have no known right answer, nor has a cut after a whole line.
* violations: a different result without a message, a traceback, a message without the file's name, or a crash.

{table(results, ["kind", "format", "mutation"])}"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=20_000, help="number of point files (default: %(default)s)")
    parser.add_argument("--images", type=int, default=2_000, help="number of images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all files (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of fuzz.md (default: %(default)s)")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="one trial, e.g. points:12, in this process; no table")
    parser.add_argument("--keep", type=Path, help="new folder for the file of --only")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trials, write the table and return the exit status."""
    arguments = build_parser().parse_args(argv)
    if arguments.only:
        kind, _, number = arguments.only.partition(":")
        if arguments.keep:
            arguments.keep.mkdir(parents=True)
        *_, trial = run_trial(kind, arguments.seed, int(number), arguments.keep)
        print(f"{trial.format}, {trial.mutation}: {trial.outcome}\n{trial.detail}")
        return int(trial.outcome in WRONG)
    counts = {"points": arguments.points, "images": arguments.images}
    trials = tqdm(run_all(counts, arguments.seed, arguments.jobs), total=sum(counts.values()), unit="file")
    results = sorted(trials, key=lambda trial: (trial.kind, trial.number))
    command = "python -m benchmarks.fuzz " + " ".join(f"--{kind} {count}" for kind, count in counts.items())
    arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_output(arguments.output / "fuzz.md") as temporary:
        temporary.write_text(page(results, f"{command} --seed {arguments.seed}"), encoding="utf-8")
    print(table(results, ["mutation", "kind"]))
    violations = defaultdict(list)
    for trial in results:
        if trial.outcome in WRONG:
            violations[trial.outcome, trial.kind, trial.format, trial.mutation].append(trial)
    for group, found in violations.items():
        print(f"\n{len(found)} violations: {', '.join(group)}")
        for trial in found[:SHOWN]:
            print(
                f"  python -m benchmarks.fuzz --seed {arguments.seed} --only {trial.kind}:{trial.number} --keep FOLDER"
            )
            print(f"    {' '.join(trial.detail.split())}")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
