"""The accuracy benchmark's scores, tables, pictures and comparison."""

import csv
from dataclasses import asdict, replace

import pytest

from benchmarks.accuracy import RESULTS, quick
from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.budget import cases_for, minutes
from benchmarks.accuracy.grid import HEADLINE, METHODS, TASKS
from benchmarks.accuracy.plots import CURVES, curve, plot_economics, plot_gaps
from benchmarks.accuracy.runs import Run
from benchmarks.accuracy.scores import Score, keep, read, read_cases, score_of
from benchmarks.accuracy.tables import Gap, gap_closed, headline_table, means_table, p_value, page, spread_table
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.table import Row, write_csv


def cell(method, dice, dataset="atrium-4mm", point_seed=0):
    return Score(dataset, method, point_seed, 1000, dice, 0.1, 1.0, 2.0, 0)


MEASURED = [
    cell("seeds", 0.6),
    cell("stage1", 0.65),
    cell("dense", 0.8),
    cell("stage1", 0.7, point_seed=1),
    cell("seeds", 0.5, "abdomen"),
    cell("stage1", 0.53, "abdomen"),
    cell("dense", 0.55, "abdomen"),
]


def test_gap_closed():
    closed = [gap_closed(score, MEASURED) for score in MEASURED]
    assert [str(gap or "") for gap in closed] == ["", "0.25", "", "", "", "0.60*", ""]
    scores = [*MEASURED, cell("seeds-paper", 0.4)]
    assert str(gap_closed(scores[1], scores, "seeds-paper")) == "0.62"
    assert str(gap_closed(scores[0], scores, "seeds-paper")) == "0.50"


def test_no_gap_where_dense_masks_are_no_better_or_something_else_differs():
    assert gap_closed(cell("stage1", 0.6), [cell("seeds", 0.6), cell("dense", 0.6)]) is None
    for change in ({"weight_seed": 1}, {"preset": "gpu"}, {"iterations": 2000}):
        assert gap_closed(replace(cell("stage1", 0.65), **change), MEASURED) is None


def test_means_of_the_gaps_that_count():
    scores = [*MEASURED, cell("seeds", 0.5, point_seed=1)]
    # 0.05 / 0.2 and 0.2 / 0.3; the abdomen's gap of 0.05 is too small.
    assert "| stage1 | 0.46 (2) |  |" in means_table(scores)
    assert gap_closed(scores[3], scores) == Gap(pytest.approx(2 / 3), True)


def test_the_headline_compares_methods_on_the_same_points():
    scores = [cell("seeds-paper", 0.4), *MEASURED, cell("seeds", 0.55, point_seed=1), cell("seeds", 0.5, "sarcoma")]
    head, _, *lines = headline_table(scores).splitlines()
    assert head == f"| dataset | iterations | point seed | training seed | {' | '.join(HEADLINE.values())} |"
    assert list(HEADLINE) == ["seeds-paper", "stage1-paper", "seeds", "stage1", "stage2", "dense"]
    assert lines == [
        "| left atrium | 1000 | 0 | 0 | 0.400 ± 0.100 |  | 0.600 ± 0.100 | 0.650 ± 0.100 |  | 0.800 ± 0.100 |",
        "| four abdominal organs | 1000 | 0 | 0 |  |  | 0.500 ± 0.100 | 0.530 ± 0.100 |  | 0.550 ± 0.100 |",
        "| left atrium | 1000 | 1 | 0 |  |  | 0.550 ± 0.100 | 0.700 ± 0.100 |  | 0.800 ± 0.100 |",
        "| **gap closed**, mean (runs) | | | | 0 |  | 0.50 (1) | 0.62 (1) |  | 1 |",
    ]
    assert headline_table([cell("seeds", 0.5)]) == ""


def test_one_dense_training_serves_all_seeds_of_weights():
    again = [replace(cell(method, dice), weight_seed=1) for method, dice in (("seeds", 0.5), ("stage1", 0.65))]
    assert str(gap_closed(again[1], [*MEASURED, *again])) == "0.50"
    own = [*MEASURED, *again, replace(cell("dense", 0.7), weight_seed=1)]
    assert str(gap_closed(again[1], own)) == "0.75"
    assert str(gap_closed(MEASURED[1], own)) == "0.25"


def test_one_training_on_the_papers_seeds_serves_all_seeds_of_weights_but_not_of_points():
    again = replace(cell("stage1", 0.6), weight_seed=1)
    scores = [*MEASURED, cell("seeds-paper", 0.4), again]
    assert str(gap_closed(again, scores, "seeds-paper")) == "0.50"
    other = replace(cell("stage1", 0.6), point_seed=1)
    assert gap_closed(other, [*scores, other], "seeds-paper") is None
    own = replace(cell("seeds-paper", 0.5), weight_seed=1)
    assert str(gap_closed(again, [*scores, own], "seeds-paper")) == "0.33"


def test_the_spread_over_runs():
    scores = [*MEASURED, replace(cell("stage1", 0.75), weight_seed=1)]
    assert [line for line in spread_table(scores).splitlines() if "atrium" in line] == [
        "| atrium-4mm | 1000 | stage1 | 3 | 0.700 | 0.050 |"
    ]
    assert spread_table(MEASURED[:3]) == ""


def test_cells_are_kept_and_replaced(tmp_path):
    file = tmp_path / "accuracy.csv"
    keep(cell("dense", 0.8), file)
    keep(cell("seeds", 0.5), file)
    scores = keep(cell("seeds", 0.6), file)
    assert scores == read(file) == [cell("seeds", 0.6), cell("dense", 0.8)]
    row = "| atrium-4mm | 1000 | 0 | 0 | seeds | 0.600 | 0.100 | 1.00 | 2.00 | 0 |  |  | 0.75 |  |"
    assert row in page(scores, tmp_path)


def test_methods_of_the_csv_in_the_order_of_the_table(tmp_path):
    keep(cell("dropped", 0.5), tmp_path / "accuracy.csv")
    for method in reversed(METHODS):
        scores = keep(cell(method, 0.5), tmp_path / "accuracy.csv")
    assert [score.method for score in scores] == [*METHODS, "dropped"]


def test_older_files_have_fewer_columns(tmp_path):
    columns = list(asdict(cell("seeds", 0.5)))[:9]
    with (tmp_path / "old.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, ["atrium-4mm", "seeds", 0, 1000, 0.5, 0.1, 1.0, 2.0, 0]])
    assert read(tmp_path / "old.csv") == [cell("seeds", 0.5)]
    assert read(tmp_path / "none.csv") == []
    (tmp_path / "old.csv").write_text("dataset,method\natrium,seeds\n", encoding="utf-8")
    with pytest.raises(PasegError, match=r"old\.csv, line 2"):
        read(tmp_path / "old.csv")


def test_the_committed_cells_are_of_the_grid():
    scores = read(RESULTS / "accuracy.csv")
    assert {score.dataset for score in scores} <= set(TASKS)
    assert len({score.key for score in scores}) == len(scores)


def rows(dices):
    names = enumerate(dices)
    return [Row(f"case_{number}", "tumor", dice, 1.0, 2.0, 1.0, 1.0) for number, dice in names]


def test_score_of_a_cell():
    nothing = Row("case_2", "tumor", 0.0, float("nan"), float("nan"), 1.0, 0.0)
    score = score_of(Run("atrium-4mm", "seeds", 1, 20, 50), [*rows([0.9, 0.6]), nothing])
    assert score == Score("atrium-4mm", "seeds", 1, 1000, 0.5, 0.3742, 1.0, 2.0, 1)


def test_paired_test(tmp_path):
    seeds, stage1 = cell("seeds", 0.5), cell("stage1", 0.6)
    (tmp_path / "cases").mkdir()
    assert p_value(stage1, [seeds, stage1], tmp_path) is None
    write_csv(rows([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), tmp_path / "cases" / f"{seeds.name}.csv", preset="default")
    write_csv(rows([0.2, 0.4, 0.6, 0.8, 0.95, 1.0]), tmp_path / "cases" / f"{stage1.name}.csv", preset="default")
    # All six differences are positive: of the 2^6 equally likely signs, two are as extreme.
    assert p_value(stage1, [seeds, stage1], tmp_path) == pytest.approx(2 / 64)
    assert page([seeds, stage1], tmp_path).count("| 0.031 |") == 1
    assert p_value(seeds, [seeds, stage1], tmp_path) is None
    write_csv(rows([0.2]), tmp_path / "cases" / f"{stage1.name}.csv", preset="default")
    assert p_value(stage1, [seeds, stage1], tmp_path) is None


def test_dice_of_a_case_is_the_mean_over_its_classes(tmp_path):
    two = [Row("a", "x", 0.4, 1, 1, 1, 1), Row("a", "y", 0.8, 1, 1, 1, 1), Row("b", "x", 1.0, 0, 0, 1, 1)]
    write_csv(two, tmp_path / "cases.csv", preset="default")
    assert read_cases(tmp_path / "cases.csv") == {"a": pytest.approx(0.6), "b": 1.0}


@pytest.mark.parametrize(
    ("labels", "share", "number", "annotated"),
    [
        ("dense", None, 60, (60, 0)),
        # 60 cases x 37 s = 37 min; / 8 min = 4.6
        ("dense", 1.0, 60, (5, 0)),
        ("dense", 0.5, 60, (3, 0)),
        ("adaptive", None, 60, (0, 60)),
        ("adaptive", 0.5, 45, (0, 22)),
        # (37 min - 8 min) / 37 s = 47.03
        ("mixed", 1.0, 60, (1, 47)),
        ("mixed", 1.0, 10, (1, 0)),
    ],
)
def test_annotated_cases(labels, share, number, annotated):
    assert cases_for(labels, share, number) == annotated


def test_economics(tmp_path):
    scores = [cell("dense-few", 0.5, point_seed=seed) for seed in (0, 1)]
    scores += [cell("stage1", dice, point_seed=seed) for seed, dice in ((0, 0.6), (1, 0.8))]
    # 45 cases: 27.75 min by points, which pay for 3.5 dense masks: four are granted.
    assert curve(scores, CURVES["dense masks"]) == [(32.0, 0.5, 2)]
    assert curve(scores, CURVES["points, stage 1"]) == [(27.75, pytest.approx(0.7), 2)]
    assert minutes(METHODS["dense"], TASKS["hippocampus2"]) == 60 * 8 * 2
    plot_economics(scores[2:], tmp_path / "nothing.png")
    plot_economics(scores, tmp_path / "economics.png")
    plot_gaps([*MEASURED, cell("seeds-paper", 0.4), cell("stage1-paper", 0.1)], tmp_path / "gaps.png")
    assert {file.name for file in tmp_path.iterdir()} == {"economics.png", "gaps.png"}
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in tmp_path.iterdir())


def test_comparison_with_the_committed_row(tmp_path):
    old = cell("seeds", 0.6, "hippocampus-2mm")
    text, close = quick.compare(cell("seeds", 0.575, "hippocampus-2mm"), old, 120)
    assert close
    assert "committed 0.600, this run 0.575, difference -0.025, tolerance 0.03" in text
    assert not quick.compare(cell("seeds", 0.56, "hippocampus-2mm"), old, 120)[1]
    assert not quick.compare(cell("seeds", 0.75, "phantom"), cell("seeds", 0.6, "phantom"), 120)[1]
    keep(cell("seeds", 0.6), tmp_path / "accuracy.csv")
    assert quick.committed(Run("atrium-4mm", "seeds", 0, 20, 50), tmp_path) == cell("seeds", 0.6)
    with pytest.raises(PasegError, match="no row of atrium-4mm_seeds_0_30epochs_50iterations"):
        quick.committed(Run("atrium-4mm", "seeds", 0, 30, 50), tmp_path)


def test_tables_only(tmp_path, capsys):
    for score in MEASURED:
        keep(score, tmp_path / "accuracy.csv")
    assert main(["--tables-only", "--output", str(tmp_path)]) == 0
    text = (tmp_path / "accuracy.md").read_text(encoding="utf-8")
    assert text == page(read(tmp_path / "accuracy.csv"), tmp_path)
    assert "| stage1 | 0.650 | 0.100 | 1.00 | 2.00 | 0 | 0.25 |" in text
    assert text in capsys.readouterr().out
    assert (tmp_path / "gap_closed.png").exists()
    with pytest.raises(SystemExit):
        main(["--output", str(tmp_path)])
