"""Geodesic distance: exact plane sweeps (this package) against GeodisTK's raster scans, side by side on the CPU.

GeodisTK runs in an interpreter of its own, since it needs numpy < 2. Both use one thread, and CPU time is measured.
Each repeat times both, one after the other, so that changes of the machine's load affect both. The fastest repeat
counts. Only the ratios are comparable between machines. The volume is a smooth random texture with the amplitude of a
scanner, one seed in the centre, a spacing of 1 mm, weight 0.5.

Examples:
    python -m benchmarks.geodesic --sizes 32 64
    python -m benchmarks.geodesic --geodistk-python geodistk-env/bin/python --output benchmarks/results/geodesic.md
"""

import argparse
import platform
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from benchmarks.geodistk import INSTALL, raster_scans
from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.geodesic import geodesic_distance

ITERATIONS = (4, 8, 16)
SPACING_MM = (1.0, 1.0, 1.0)
WEIGHT = 0.5
MISSING = f"GeodisTK was not timed: {INSTALL}"


def main() -> None:
    """Print the table, and write it to a file if asked to."""
    arguments = parse_arguments()
    torch.set_num_threads(1)
    lines = ["# Geodesic distance: plane sweeps to convergence against GeodisTK's raster scans", "", *machine(), ""]
    if arguments.geodistk_python:
        columns = [f"{n} it.: time, GeodisTK / ours | {n} it.: largest error" for n in ITERATIONS]
        lines += ["| volume | ours, CPU s | " + " | ".join(columns) + " |", "|---|---|" + "---|---|" * len(ITERATIONS)]
    else:
        lines += [MISSING, "", "| volume | ours, CPU s |", "|---|---|"]
    print("\n".join(lines), flush=True)
    for size in arguments.sizes:
        try:
            lines.append(row(size, arguments.repeats, arguments.geodistk_python))
        except PasegError as error:
            sys.exit(f"error: {error}")
        print(lines[-1], flush=True)
    if arguments.geodistk_python:
        note = "Errors against ours are in per cent of the largest distance. A ratio above 1 means that ours is faster."
        print(f"\n{note}")
        lines += ["", note]
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 48, 64, 100, 128], help="edges of the cubes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--geodistk-python", metavar="PATH", help="an interpreter that can import GeodisTK")
    parser.add_argument("--output", type=Path, help="also write the table to this Markdown file")
    return parser.parse_args()


def machine() -> list[str]:
    """Return the command and the machine that it ran on."""
    command = shlex.join(["python", "-m", "benchmarks.geodesic", *sys.argv[1:]])
    return [
        f"`{command}`",
        "",
        f"{platform.machine()}, one thread, Python {platform.python_version()}, torch {torch.__version__}.",
    ]


def row(size: int, repeats: int, geodistk_python: str | None) -> str:
    """Measure one size, and return its row of the table."""
    image = gaussian_filter(np.random.default_rng(0).standard_normal((size,) * 3), 2)
    image = (400 + 150 * image / image.std()).astype(np.float32)
    seeds = np.zeros(image.shape, dtype=bool)
    seeds[size // 2, size // 2, size // 2] = True
    geodesic_distance(image[:8, :8, :8], np.ones((8, 8, 8), bool), spacing_mm=SPACING_MM)  # loads torch's kernels

    ours: list[float] = []
    theirs: dict[int, list[float]] = {n: [] for n in ITERATIONS}
    for _ in range(repeats):
        start = time.process_time()
        distance = geodesic_distance(image, seeds, spacing_mm=SPACING_MM, weight=WEIGHT)
        ours.append(time.process_time() - start)
        if geodistk_python:
            scans = raster_scans(
                geodistk_python, image, seeds, spacing_mm=SPACING_MM, weight=WEIGHT, iterations=ITERATIONS
            )
            for n in ITERATIONS:
                theirs[n].append(float(scans[f"seconds_{n}"]))
    cells = [f"{size}^3", f"{min(ours):.2f}"]
    if geodistk_python:
        for n in ITERATIONS:
            error = np.abs(scans[f"distance_{n}"] - distance).max() / distance.max()
            cells += [f"{min(theirs[n]):.2f} s, {min(theirs[n]) / min(ours):.2f}x", f"{100 * error:.1f} %"]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
