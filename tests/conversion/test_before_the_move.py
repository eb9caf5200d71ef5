"""Conversions of the revision before the modules moved: a half-finished one is never mixed, a finished one is read."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from nnunet_paseg.conversion.convert import convert
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.report.annotation import RawDataset
from tests.conversion.test_convert import contents

ARCHIVE = Path(__file__).with_name("reference") / "before_the_move.zip"
TIME_NS = 1_700_000_000_000_000_000
PLAN = DatasetPlan("Dataset005_Old", ("CT",), ("lesion",), mask_labels={1: 1}, validation=("c2",))
DONE, OPEN = ("c0", "c2", "c4"), ("c1", "c3")


def cases():
    found = []
    for name in ("c0", "c1", "c2", "c3", "c4"):
        image, mask = (Path(f"images/{name}.nii.gz"),), Path(f"masks/{name}.nii.gz")
        if name == "c4":
            found.append(Case(name, image, mask=mask, split="test"))
        elif name in OPEN:
            found.append(Case(name, image, points=Path(f"points/{name}.csv")))
        else:
            found.append(Case(name, image, mask=mask, annotation="simulated"))
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    for file in tmp_path.rglob("*.*"):
        os.utime(file, ns=(TIME_NS, TIME_NS))
    monkeypatch.chdir(tmp_path)  # all paths in the records are relative
    return tmp_path


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_half_finished_conversion_by_the_old_rule_is_not_continued(folder, capsys):
    """Its seeds are those of a rule that was the default then; images and points are the same."""
    [staging] = Path("half").iterdir()
    before = contents(staging)
    dataset = convert(cases(), PLAN, Path("half"), num_processes=1)
    output = capsys.readouterr()
    assert " 5/5 [" in output.err
    assert f"{staging} belongs to a conversion with other options: delete it" in output.out
    assert contents(staging) == before
    after, old = contents(dataset), Path("finished") / PLAN.name
    assert after.keys() == contents(old).keys()
    for path, content in contents(old).items():
        if path.parts[0] in ("imagesTr", "imagesTs", "points"):
            assert after[path] == content
    for name in ("dataset.json", "paseg.json"):
        new, known = read_json(dataset / name), read_json(old / name)
        newer = {"target_extents_mm"} if name == "dataset.json" else set()
        assert new.keys() == known.keys() | newer
    for name in (*OPEN, *DONE):
        assert known["cases"][name].keys() <= new["cases"][name].keys()


def test_a_finished_dataset_is_read(folder):
    """By the report, which reads both descriptions, the points and the label maps."""
    dataset = RawDataset.open(Path("finished") / PLAN.name)
    assert (dict(dataset.labels), dataset.ignore) == ({"lesion": 1}, 2)
    assert set(dataset.fewest_seeds(4)) == {"c0", "c1", "c2", "c3"}
    for name in (*OPEN, "c0", "c2"):
        [target] = dataset.points(name)
        labels, grid = read_array(dataset.seeds(name)), Grid.from_file(dataset.image(name))
        assert (labels[tuple(grid.to_voxels(target.foreground).T)] == 1).all()
        assert dataset.records[name]["voxels"]["lesion"] == (labels == 1).sum()
