"""Conversion and expansion on a local Dask cluster of two workers: a killed worker, and the cost of many cases.

1. Phantoms are converted and expanded by processes of this machine, and on a cluster of which one worker is killed when
   half of the cases are done. All files have to be equal, byte for byte.
2. A tiny case is converted many times on a cluster, to measure time per case and peak memory of the command, which
   should not depend on the number of cases. The seeds are those of the paper, because they cost least.

Example:
    python -m benchmarks.cluster --workspace /tmp/cluster
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy import RESULTS
from benchmarks.accuracy.source import check_clean, origin
from nnunet_paseg.demo.phantom import write_phantom_dataset
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.io.images import read_labels
from nnunet_paseg.points.formats.csv import write_csv
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.simulate import simulate_points

WORKERS = 2
KILL_SECONDS = 300
"""Time after which the worker is killed, however many cases are done."""

PASEG = "import sys; from nnunet_paseg.cli import main; sys.exit(main(sys.argv[1:]))"


class Cost(NamedTuple):
    """Wall time and peak memory of one command, without those of its workers."""

    seconds: float
    megabytes: float


class KilledWorker(threading.Thread):
    """A thread that kills one worker of a cluster as soon as a folder contains a number of records.

    Attributes:
        finished: Number of records at that time.
    """

    def __init__(self, address: str, folder: Path, pattern: str, number: int = 1) -> None:
        super().__init__(daemon=True)
        from distributed import Client

        with Client(address) as client:
            self.process = next(iter(client.run(os.getpid).values()))
        self.folder, self.pattern, self.number, self.finished = folder, pattern, number, 0

    def run(self) -> None:
        """Wait for the records and kill the worker."""
        end = time.monotonic() + KILL_SECONDS
        while self.finished < self.number and time.monotonic() < end:
            self.finished = len(list(self.folder.glob(self.pattern)))
            time.sleep(0.005)
        os.kill(self.process, signal.SIGKILL)


def local_cluster() -> Any:
    """Return a Dask cluster of worker processes with one thread each, to be used in a ``with`` statement."""
    from distributed import LocalCluster

    return LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0", silence_logs=50)


def write_phantoms(folder: Path, number: int) -> None:
    """Write phantoms with simulated points."""
    write_phantom_dataset(folder, num_train=number, num_test=0, shape_zyx=(16, 32, 32))
    (folder / "points").mkdir()
    for index, mask in enumerate(sorted((folder / "labelsTr").iterdir())):
        labels, image = read_labels(mask)
        points = simulate_points(labels, Grid.from_image(image), {"lesion": 1}, np.random.default_rng(index))
        write_csv(points, folder / "points" / mask.name.replace(".nii.gz", ".csv"))


def repeat_case(phantoms: Path, folder: Path, number: int) -> None:
    """Hard-link the first phantom and its points under many names."""
    for name in ("imagesTr", "points"):
        (folder / name).mkdir(parents=True)
        source = sorted((phantoms / name).iterdir())[0]
        ending = source.name.removeprefix("case_000")
        for index in range(number):
            os.link(source, folder / name / f"copy{index:05d}{ending}")


def paseg(*words: object) -> Cost:
    """Run a command of the package in a process of its own.

    Raises:
        PasegError: It failed.
    """
    started = time.monotonic()
    command = [sys.executable, "-c", PASEG, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise PasegError(f"paseg {words[0]} failed, see above: remove the folder and run the benchmark again.")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    return Cost(time.monotonic() - started, usage.ru_maxrss / unit)


def convert(cases: Path, raw: Path, *options: object) -> Cost:
    """Convert a folder of cases."""
    raw.mkdir(parents=True)
    words = (cases / "imagesTr", cases / "points", 101, "--classes", "lesion", "--raw", raw)
    return paseg("convert", "folder", *words, *options)


def expand(cases: Path, output: Path, *options: object) -> Cost:
    """Expand a folder of cases."""
    return paseg("expand", cases / "imagesTr", cases / "points", output, "--classes", "lesion", *options)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def killed_worker_rows(phantoms: Path, folder: Path, number: int) -> list[str]:
    """Compare the files of both commands with and without a cluster; return a row of the table for each."""
    rows = []
    for name, command, pattern in (("convert", convert, ".*/records/*"), ("expand", expand, "records/*.json")):
        alone = command(phantoms, folder / f"{name}_alone", "--num-processes", WORKERS)
        with local_cluster() as cluster:
            output = folder / f"{name}_cluster"
            KilledWorker(cluster.scheduler_address, output, pattern, number // 2).start()
            shared = command(phantoms, output, "--dask", cluster.scheduler_address)
        one, other = contents(folder / f"{name}_alone"), contents(output)
        equal = f"all {len(one)} equal" if one == other else f"{sum(one[k] != other.get(k) for k in one)} differ"
        rows.append(f"| `paseg {name}` | {number} | {alone.seconds:.0f} | {shared.seconds:.0f} | {equal} |")
        print(rows[-1], flush=True)
    return rows


def scale_rows(phantoms: Path, folder: Path, numbers: Sequence[int]) -> list[str]:
    """Convert one case many times on a cluster; return a row of the table for each number of cases."""
    rows = []
    with local_cluster() as cluster:
        for number in numbers:
            repeat_case(phantoms, folder / f"copies_{number}", number)
            options = ("--seeds", "paper", "--dask", cluster.scheduler_address)
            cost = convert(folder / f"copies_{number}", folder / f"scale_{number}", *options)
            each = 1000 * cost.seconds / number
            rows.append(f"| {number} | {cost.seconds:.0f} | {each:.1f} | {cost.megabytes:.0f} |")
            print(rows[-1], flush=True)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run both measurements and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True, help="new folder for cases and results")
    parser.add_argument("--phantoms", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--numbers", type=int, nargs="+", default=[100, 1000, 10000], help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS / "cluster.md", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    try:
        check_clean()
        if arguments.workspace.exists():
            raise PasegError(f"{arguments.workspace} exists: name a new folder.")
        phantoms = arguments.workspace / "phantoms"
        write_phantoms(phantoms, arguments.phantoms)
        killed = killed_worker_rows(phantoms, arguments.workspace, arguments.phantoms)
        scale = scale_rows(phantoms, arguments.workspace, arguments.numbers)
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    lines = [
        "# Many cases on a Dask cluster",
        "",
        f"A local cluster of {WORKERS} workers with one thread each. One of them is killed when half of the cases are",
        f"done. The files are compared with those of {WORKERS} processes without a cluster.",
        "",
        *origin(
            f"python -m benchmarks.cluster --workspace FOLDER --phantoms {arguments.phantoms} --numbers "
            f"{' '.join(map(str, arguments.numbers))}"
        ),
        "| command | phantoms | seconds, processes | seconds, cluster | files |",
        "|---|---|---|---|---|",
        *killed,
        "",
        "The same tiny case many times, `paseg convert folder --seeds paper --dask`. Memory is the peak of the",
        "command, without its workers.",
        "",
        "| cases | seconds | ms per case | MB |",
        "|---|---|---|---|",
        *scale,
        "",
    ]
    with atomic_output(arguments.output) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
