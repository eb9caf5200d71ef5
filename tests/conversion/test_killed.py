"""A conversion of 200 cases that is killed ten times ends as one that was left alone."""

import os
import random
import signal
import time
from multiprocessing import get_context

import numpy as np
import pytest

from nnunet_paseg.conversion.convert import convert
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.seeds.rules import SeedParameters
from tests.conftest import write_image
from tests.conversion.test_convert import contents

NUM_CASES, NUM_KILLS = 200, 10
PLAN = DatasetPlan(
    "Dataset001_Many",
    ("MRI",),
    ("a", "b"),
    mask_labels={1: 1, 2: 2},
    seeds=SeedParameters(rule="paper"),
    validation=("case_007",),
)


def write_cases(folder):
    rng = np.random.default_rng(0)
    cases = []
    for number in range(NUM_CASES):
        mask = np.zeros((12, 12, 12), dtype=np.uint8)
        z, y, x = rng.integers(1, 5, size=3)
        mask[z : z + 4, y : y + 5, x : x + 3] = 1
        mask[z : z + 4, y : y + 5, x + 3 : x + 6] = 2
        image = (mask * 30 + rng.normal(100, 5, mask.shape)).astype(np.float32)
        path = folder / f"case_{number:03d}.nii.gz"
        write_image(image, path)
        write_image(mask, folder / "masks" / path.name)
        annotation = "dense" if number % 10 == 0 else "simulated"
        split = "test" if number % 10 == 1 else "train"
        name = path.name.removesuffix(".nii.gz")
        cases.append(Case(name, (path,), mask=folder / "masks" / path.name, annotation=annotation, split=split))
    return cases


def run(cases, raw):
    """In a process group of its own, as a job of a cluster would be."""
    os.setsid()
    convert(cases, PLAN, raw, num_processes=1)


def count(raw):
    return sum(file.name[0] != "." for file in raw.glob(".*.partial/records/*"))


@pytest.mark.slow
def test_killed_ten_times(tmp_path):
    cases = write_cases(tmp_path / "source")
    # Not forked from here (torch has threads), and not imported anew for every start.
    context = get_context("forkserver")
    context.set_forkserver_preload(["nnunet_paseg.conversion.convert"])
    start = time.monotonic()
    expected = contents(convert(cases, PLAN, tmp_path / "undisturbed", num_processes=1).parent)
    one_case = (time.monotonic() - start) / NUM_CASES
    rng, raw, kept = random.Random(0), tmp_path / "killed", 0
    for _ in range(NUM_KILLS):
        process = context.Process(target=run, args=(cases, raw))
        process.start()
        while os.getpgid(process.pid) != process.pid:
            time.sleep(0.001)
        # At any time: after any number of further cases, and anywhere within the next one.
        wanted, pause = kept + rng.randrange(18), rng.random() * one_case
        deadline = time.monotonic() + 60
        while count(raw) < wanted and process.is_alive() and time.monotonic() < deadline:
            time.sleep(one_case / 2)
        time.sleep(pause)
        assert process.is_alive(), "the conversion ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        kept = count(raw)
    assert 0 < kept < NUM_CASES
    assert not (raw / PLAN.name).exists()
    process = context.Process(target=run, args=(cases, raw))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert contents(raw) == expected
