"""The commands on a Dask cluster, one worker of which is killed on the way: the bytes of one process, nothing lost."""

import json

import pytest

from benchmarks.cluster import KilledWorker, contents
from nnunet_paseg.cli import main
from tests.expansion.conftest import write_case

pytestmark = pytest.mark.filterwarnings("default")  # Dask's own
CASES = [f"case{number}" for number in range(8)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    for case in CASES:
        write_case(folder, case)
    return folder


def expand(folder, output, *options):
    return main(["expand", *(str(folder / name) for name in ("images", "points", output)), "--probabilities", *options])


def test_expand(dask_cluster, folder, capsys):
    names = ("--classes", "tumor")
    assert expand(folder, "one", *names, "--num-processes", "1") == 0
    killed = KilledWorker(dask_cluster, folder, "two/records/*.json")
    killed.start()
    assert expand(folder, "two", *names, "--dask", dask_cluster) == 0
    killed.join()
    assert 0 < killed.finished < len(CASES)
    assert contents(folder / "one") == contents(folder / "two")
    assert len(contents(folder / "one")) == 4 * len(CASES) + 2
    summaries = [line for line in capsys.readouterr().out.splitlines() if "cases" in line]
    assert summaries[0] == summaries[1]


def test_convert(dask_cluster, folder):
    def convert(raw, *options):
        sources = (str(folder / "images"), str(folder / "points"), "101", "--classes", "tumor", "--raw", str(raw))
        return main(["convert", "folder", *sources, *options])

    for name in ("raw_one", "raw_two"):
        (folder / name).mkdir()
    assert convert(folder / "raw_one", "--num-processes", "1") == 0
    killed = KilledWorker(dask_cluster, folder / "raw_two", ".*/records/*")
    killed.start()
    assert convert(folder / "raw_two", "--dask", dask_cluster) == 0
    killed.join()
    assert 0 < killed.finished < len(CASES)
    assert contents(folder / "raw_one") == contents(folder / "raw_two")


def test_check_and_evaluate(dask_cluster, folder, monkeypatch, capsys):
    (folder / "points" / "case3.csv").rename(folder / "case3.csv")
    monkeypatch.chdir(folder)  # relative paths have the same meaning on the workers
    commands = (
        (["check", "images", "points", "--classes", "tumor", "--json"], 1),
        (["evaluate", "-p", "one", "-r", "one", "--json"], 0),
    )
    for command, status in commands:
        outputs = []
        for options in (["--num-processes", "1"], ["--dask", dask_cluster]):
            assert main([*command, *options]) == status
            outputs.append(capsys.readouterr().out)
        assert outputs[0] == outputs[1]
        assert len(json.loads(outputs[0])["cases" if command[0] == "check" else "rows"]) == len(CASES)
