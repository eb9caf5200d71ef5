"""Items on a Dask cluster: every item is done once, whichever worker is killed on the way."""

import os
import signal
import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest

from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io import cluster
from nnunet_paseg.io.executor import in_parallel
from nnunet_paseg.io.processes import Killed

pytestmark = pytest.mark.filterwarnings("default")  # Dask's own


def double_or_die(folder, number):
    """Kill the first worker in which the number is 3."""
    killed = folder / "killed"
    if number == 3 and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def double_in_this_folder(number):
    return 2 * number, os.getcwd(), os.getpid()


def fail(number):
    raise PasegError("an error that concerns all items")


def test_a_killed_worker_costs_no_item(dask_cluster, tmp_path):
    done = list(in_parallel(partial(double_or_die, tmp_path), range(5), 1, dask=dask_cluster))
    assert (tmp_path / "killed").exists()
    assert sorted(done) == [(number, 2 * number) for number in range(5)]


class DeadlyExecutor:
    """An executor whose workers the number 5 has killed several times."""

    @staticmethod
    def submit(function, work, item, *_):
        from distributed import KilledWorker

        future = Future()
        if item == 5:
            future.set_exception(KilledWorker("5", None, 3))
        else:
            future.set_result(work(item))
        return future


def test_an_item_that_kills_several_workers_costs_itself(dask_cluster, capsys):
    done = cluster._in_executor(DeadlyExecutor, abs, [4, 5, 6], lambda: 0)
    assert dict(done) == {4: 4, 5: Killed((5,), "more memory per worker"), 6: 6}
    assert capsys.readouterr().err.count("The Dask scheduler has no worker: waiting for one") == 1


def test_workers_work_in_the_folder_of_the_command(dask_cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = dict(in_parallel(double_in_this_folder, range(3), 1, dask=dask_cluster))
    assert {folder for _, folder, _ in done.values()} == {str(tmp_path)}
    assert os.getpid() not in {process for _, _, process in done.values()}


def test_an_error_of_all_items_stops(dask_cluster):
    with pytest.raises(PasegError, match="an error that concerns all items"):
        list(in_parallel(fail, range(100), 1, dask=dask_cluster))


def test_another_version_is_refused():
    with pytest.raises(PasegError, match=r"A worker has nnunet-paseg .*, this machine 0.0.0: install the same version"):
        cluster._on_worker(abs, -1, "0.0.0", os.getcwd())


def test_a_file_system_of_its_own_is_refused(tmp_path):
    with pytest.raises(PasegError, match=r"A worker cannot enter .*gone \(No such file or directory\): "):
        cluster._on_worker(abs, -1, cluster.__version__, str(tmp_path / "gone"))
    assert Path.cwd().is_dir()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "no address"])
def test_no_scheduler(dask_cluster, address, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    for folder, name in (("images", "a.nii.gz"), ("points", "a.csv")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    assert main(["check", str(tmp_path / "images"), str(tmp_path / "points"), "--dask", address]) == 2
    assert f"--dask {address}: no Dask scheduler answers there" in capsys.readouterr().err


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PasegError, match=r"requires dask\.distributed: pip install .nnunet-paseg\[cluster\]"):
        list(in_parallel(abs, [1], 1, dask="tcp://127.0.0.1:9"))
