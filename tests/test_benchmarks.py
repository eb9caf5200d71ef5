import importlib.util
import sys

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def accuracy():
    spec = importlib.util.spec_from_file_location("accuracy", ROOT / "benchmarks" / "accuracy.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["accuracy"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["accuracy"]


def cell(accuracy, method, dice, dataset="atrium", point_seed=0):
    return accuracy.Score(dataset, method, point_seed, 1000, dice, 0.1, 1.0, 2.0, 0)


def test_gap_closed(accuracy):
    scores = [
        cell(accuracy, "seeds", 0.6),
        cell(accuracy, "stage1", 0.65),
        cell(accuracy, "dense", 0.8),
        cell(accuracy, "stage1", 0.7, point_seed=1),
        cell(accuracy, "seeds", 0.5, "abdomen"),
        cell(accuracy, "stage1", 0.53, "abdomen"),
        cell(accuracy, "dense", 0.55, "abdomen"),
    ]
    closed = [accuracy.gap_closed(score, scores) for score in scores]
    assert closed == ["", "0.25", "", "", "", "0.60*", ""]
    scores.append(cell(accuracy, "seeds-paper", 0.4))
    assert accuracy.gap_closed(scores[1], scores, "seeds-paper") == "0.62"
    assert accuracy.gap_closed(scores[0], scores, "seeds-paper") == "0.50"


def test_cells_are_kept_and_replaced(accuracy, tmp_path):
    file = tmp_path / "accuracy.csv"
    accuracy.keep(cell(accuracy, "dense", 0.8), file)
    accuracy.keep(cell(accuracy, "seeds", 0.5), file)
    scores = accuracy.keep(cell(accuracy, "seeds", 0.6), file)
    assert scores == accuracy.read(file) == [cell(accuracy, "seeds", 0.6), cell(accuracy, "dense", 0.8)]
    assert "| atrium, 1000, 0 | seeds | 0.600 (0.100) | 1.00 | 2.00 | 0 |  |  |" in accuracy.table(scores)


def test_methods_of_the_csv_in_the_order_of_the_table(accuracy, tmp_path):
    for method in reversed(accuracy.METHODS):
        scores = accuracy.keep(cell(accuracy, method, 0.5), tmp_path / "accuracy.csv")
    assert [score.method for score in scores] == list(accuracy.METHODS)
