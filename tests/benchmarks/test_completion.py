"""The benchmark of `paseg complete`: masks of one source, and the rows of its table."""

import json

import numpy as np

from benchmarks.accuracy import source
from benchmarks.completion import NETWORK_FACTORS, CaseDice, label_map, main, page, row, weighted
from benchmarks.window import mean_dice
from nnunet_paseg.points.instance import VoxelInstance


def window(start, stop):
    return (slice(0, 1), slice(0, 1), slice(start, stop))


def test_every_voxel_has_the_label_of_its_likeliest_target():
    first = np.array([[[127, 128, 200, 140]]], dtype=np.uint8)
    second = np.array([[[150, 140, 255]]], dtype=np.uint8)
    found = label_map((1, 1, 6), [window(0, 4), window(2, 5)], [1, 2], [first, second])
    assert found.ravel().tolist() == [0, 1, 1, 1, 2, 0]


def test_a_factor_decides_between_two_sources_that_disagree():
    target = VoxelInstance(1, np.array([[0, 0, 0]]), window(0, 3))
    expansion, network = (np.array([[values]], dtype=np.uint8) for values in ([255, 100, 0], [255, 200, 0]))
    weights = {"1": {name: {"reliability": 0.8, "magnitude": 2.0} for name in ("expansion", "network")}}
    maps = [weighted((1, 1, 4), [target], [[expansion], [network]], weights, factor) for factor in (0, 0.2, 0.4)]
    assert [found.ravel().tolist() for found in maps] == [[1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]]


def test_the_dice_is_the_mean_over_the_classes_of_the_reference():
    reference = np.array([1, 1, 2, 2, 0])
    assert mean_dice(np.array([1, 0, 2, 2, 3]), reference) == (2 / 3 + 1) / 2
    assert mean_dice(np.zeros(5), reference) == 0


def test_cases_that_were_trained_on_have_a_row_of_their_own(monkeypatch):
    monkeypatch.setattr(source, "revision", lambda: "0123456")
    factors = {str(factor): factor / 10 for factor in NETWORK_FACTORS}
    cases = [
        CaseDice(True, {"expansion": 0.8, "network": 0.6, "completed": 0.8, **factors}),
        CaseDice(True, {"expansion": 0.6, "network": 0.7, "completed": 0.65, **factors}),
        CaseDice(False, {"expansion": 0.5, "network": 0.4, "completed": 0.6, **factors}),
    ]
    rows = [row("cell", cases, group) for group in (False, True)]
    assert rows[0] == "| cell | no | 1 | 0.500 | 0.400 | 0.600 | 1 | 0.000 | 0.020 | 0.030 | 0.040 | 0.060 | 0.100 |"
    assert rows[1] == "| cell | yes | 2 | 0.700 | 0.650 | 0.725 | 1 | 0.000 | 0.020 | 0.030 | 0.040 | 0.060 | 0.100 |"
    text = page(rows, ["glioma"])
    assert "python -m benchmarks.completion DATA --workspace FOLDER --tasks glioma\n\nRevision 0123456." in text
    assert text.endswith(rows[1] + "\n")


def test_cells_with_other_seeds_and_of_other_tasks_are_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.completion.check_clean", lambda: None)
    monkeypatch.setattr("os.environ", {})
    (tmp_path / "cells").mkdir()
    for name, task, rule in (("a", "glioma", "paper"), ("b", "abdomen", "learned"), ("c", "glioma", None)):
        record = {"score": {"dataset": task}, "seeds": None if rule is None else {"rule": rule}}
        (tmp_path / "cells" / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    output = tmp_path / "completion.md"
    assert main(["unused", "--workspace", str(tmp_path), "--tasks", "glioma", "--output", str(output)]) == 0
    assert not output.exists()
    assert capsys.readouterr().out == ""
