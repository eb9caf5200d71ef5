"""Trials in processes of their own, since a reader can crash, hang or use all memory."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from benchmarks.fuzz.outcome import Trial

BLOCK = 500
"""Trials per process."""
PATIENCE_S = 60
"""Longest time for a file of a few kilobytes, on a busy machine."""
MEMORY = 4 << 30
"""Bytes that reading a file of a few kilobytes may take."""


def work(connection: Connection, kind: str, seed: int, numbers: Sequence[int]) -> None:
    """Run trials and send their results; a process of its own, since a reader may crash it."""
    import SimpleITK as sitk  # slow to load, with the readers that trial.py loads

    from benchmarks.fuzz.trial import run_trial

    # What libraries print about broken files is of no interest here.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    for number in numbers:
        for trial in run_trial(kind, seed, number):
            connection.send(trial)


@dataclass
class Job:
    """A running process, the numbers of its trials that have no outcome yet, and the trial that it started last."""

    process: SpawnProcess
    kind: str
    numbers: list[int]
    latest: Trial | None = None


def run_all(counts: dict[str, int], seed: int, jobs: int) -> Iterator[Trial]:
    """Run all trials in several processes and yield their results."""
    blocks: list[tuple[str, Sequence[int]]] = [
        (kind, range(start, min(start + BLOCK, count)))
        for kind, count in counts.items()
        for start in range(0, count, BLOCK)
    ]
    context = multiprocessing.get_context("spawn")
    running: dict[Connection, Job] = {}
    while blocks or running:
        while blocks and len(running) < jobs:
            kind, numbers = blocks.pop()
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=work, args=(sender, kind, seed, numbers))
            process.start()
            sender.close()
            running[receiver] = Job(process, kind, list(numbers))
        ready = wait(list(running), timeout=PATIENCE_S)
        # Without any result for so long, all of them hang.
        for connection in ready or list(running):
            assert isinstance(connection, Connection)
            job = running[connection]
            try:
                trial = connection.recv() if ready else None
            except EOFError:
                trial = None
            if trial is not None and trial.outcome == "crash":
                job.latest = trial
                continue
            if trial is not None:
                yield trial
                del job.numbers[0]
            elif job.numbers:
                if job.latest is None or job.latest.number != job.numbers[0]:
                    raise RuntimeError(f"A process ended before it read the file of {job.kind}:{job.numbers[0]}.")
                yield job.latest
                blocks.append((job.kind, job.numbers[1:]))
                job.process.kill()
                job.numbers.clear()
            if not job.numbers:
                job.process.join()
                connection.close()
                del running[connection]
