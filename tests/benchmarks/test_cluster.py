"""The benchmark of many cases: everything is measured once, with few cases."""

import pytest

from benchmarks import cluster
from benchmarks.accuracy import source

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Dask's own warnings


def test_few_cases(dask_cluster, tmp_path, monkeypatch):
    """The fixture skips the test without dask.distributed."""
    monkeypatch.setattr(cluster, "check_clean", lambda: None)
    monkeypatch.setattr(source, "revision", lambda: "0123456")
    output = tmp_path / "cluster.md"
    options = ["--phantoms", "4", "--numbers", "2", "3", "--output", str(output)]
    assert cluster.main(["--workspace", str(tmp_path / "new"), *options]) == 0
    text = output.read_text(encoding="utf-8")
    assert "--phantoms 4 --numbers 2 3\n\nRevision 0123456.\n" in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    killed = {row[0]: row for row in rows if row[0].startswith("`paseg")}
    assert set(killed) == {"`paseg convert`", "`paseg expand`"}
    assert all(row[4].startswith("all ") and row[4].endswith(" equal") for row in killed.values())
    scale = [row for row in rows if row[0] in ("2", "3")]
    assert len(scale) == 2
    assert all(float(value) > 0 for row in scale for value in row[1:])


def test_an_existing_folder_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "check_clean", lambda: None)
    assert cluster.main(["--workspace", str(tmp_path)]) == 2
    assert f"{tmp_path} exists: name a new folder" in capsys.readouterr().err
