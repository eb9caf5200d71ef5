"""The accuracy benchmark's scores, tables, pictures and comparison."""

import csv
import json
from dataclasses import asdict, replace

import pytest

from benchmarks.accuracy import RESULTS, quick
from benchmarks.accuracy.__main__ import build_parser, main, seeds_of
from benchmarks.accuracy.budget import cases_for, minutes
from benchmarks.accuracy.gaps import Gap, gap_closed, p_value
from benchmarks.accuracy.grid import METHODS
from benchmarks.accuracy.plots import CURVES, curve, plot_economics, plot_gaps
from benchmarks.accuracy.runs import Run, Seeds, runs
from benchmarks.accuracy.scores import Score, keep, read, read_cases, score_of
from benchmarks.accuracy.tables import headline_table, methods_table, page, runs_table
from benchmarks.accuracy.tasks import TASKS
from nnunet_paseg.conversion.dense import choose
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.table import Row, write_csv


def cell(method, dice, dataset="atrium-4mm", point_seed=0):
    return Score(dataset, method, point_seed, 1000, dice, 0.1, 1.0, 2.0, 0)


MEASURED = [
    cell("paper-exact", 0.6),
    cell("learned", 0.65),
    cell("dense", 0.8),
    cell("learned", 0.7, point_seed=1),
    cell("paper-exact", 0.5, "abdomen"),
    cell("learned", 0.53, "abdomen"),
    cell("dense", 0.55, "abdomen"),
]


def test_gap_closed():
    closed = [gap_closed(score, MEASURED) for score in MEASURED]
    assert [str(gap or "") for gap in closed] == ["", "0.25", "", "", "", "0.60*", ""]
    other = [*MEASURED, cell("paper-exact", 0.5, point_seed=1)]
    assert gap_closed(other[3], other) == Gap(pytest.approx(2 / 3), True)


def test_no_gap_where_dense_masks_are_no_better_or_something_else_differs():
    assert gap_closed(cell("learned", 0.6), [cell("paper-exact", 0.6), cell("dense", 0.6)]) is None
    for change in ({"point_seed": 1}, {"preset": "gpu"}, {"iterations": 2000}):
        assert gap_closed(replace(cell("learned", 0.65), **change), MEASURED) is None


def test_one_run_on_dense_masks_and_of_the_baseline_serves_all_training_seeds():
    again = replace(cell("learned", 0.65), weight_seed=1)
    assert str(gap_closed(again, [*MEASURED, again])) == "0.25"
    own = [*MEASURED, again, replace(cell("dense", 0.7), weight_seed=1)]
    assert str(gap_closed(again, own)) == "0.50*"
    assert str(gap_closed(MEASURED[1], own)) == "0.25"
    own.append(replace(cell("paper-exact", 0.5), weight_seed=1))
    assert str(gap_closed(again, own)) == "0.75"


def three_runs(method, *dices, dataset="sarcoma"):
    return [replace(cell(method, dice, dataset, seed), weight_seed=seed + 1) for seed, dice in enumerate(dices)]


def test_the_headline_shows_mean_and_sd_over_runs():
    scores = [
        *MEASURED,
        *three_runs("learned", 0.6, 0.7, 0.8),
        cell("dense", 0.8, "sarcoma"),
        cell("learned", 0.5, "x"),
    ]
    head, _, *lines = headline_table(scores).splitlines()
    # Columns without any run, and datasets without dense masks, are left out.
    assert head == "| dataset | iterations | published rule, exact distances | learned seeds | dense masks |"
    assert lines == [
        "| left atrium | 1000 | 0.600 (1†) | 0.675 ± 0.035 (2†) | 0.800 (1†) |",
        "| four abdominal organs | 1000 | 0.500 (1†) | 0.530 (1†) | 0.550 (1†) |",
        "| sarcoma | 1000 |  | 0.700 ± 0.100 (3) | 0.800 (1†) |",
        "| **fraction of dense**, mean (datasets) | | 0.83 (2) | 0.89 (3) | 1 |",
        # 0.05 / 0.2 on the atrium; the abdomen's gap of 0.05 is too small, and the sarcomas have no baseline.
        "| **gap closed**, mean (runs) | | 0 | 0.25 (1) | 1 |",
    ]
    assert headline_table([cell("learned", 0.5)]) == headline_table([cell("dense", 0.5)]) == ""


def test_methods_with_few_runs_are_marked(tmp_path):
    measured = [*three_runs("learned", 0.6, 0.7, 0.8), *three_runs("dense", 0.9, 0.7)]
    lines = methods_table(measured, tmp_path).splitlines()
    assert lines[2:] == [
        "| sarcoma | 1000 | learned | 3 | 0.700 | 0.100 | 0.100 | 0.88 |  |  |  |  |",
        "| sarcoma | 1000 | dense | 2† | 0.800 | 0.141 | 0.100 |  |  |  |  |  |",
    ]
    other = methods_table([replace(cell("dropped", 0.5), preset="gpu"), cell("learned", 0.5)], tmp_path).splitlines()
    assert other[2] == "| atrium-4mm | 1000 (gpu) | dropped | 1† | 0.500 |  | 0.100 |  |  |  |  |  |"


def test_cells_are_kept_and_replaced(tmp_path):
    file = tmp_path / "accuracy.csv"
    keep(cell("dense", 0.8), file)
    keep(cell("learned", 0.5), file)
    scores = keep(cell("learned", 0.6), file)
    assert scores == read(file) == [cell("learned", 0.6), cell("dense", 0.8)]
    row = "| atrium-4mm | 1000 | 0 | 0 | learned | 0.600 | 0.100 | 1.00 | 2.00 | 0 |  | 0.75 |  |  |"
    assert row in page(scores, tmp_path)


def test_methods_of_the_csv_in_the_order_of_the_table(tmp_path):
    keep(cell("dropped", 0.5), tmp_path / "accuracy.csv")
    for method in reversed(METHODS):
        scores = keep(cell(method, 0.5), tmp_path / "accuracy.csv")
    assert [score.method for score in scores] == [*METHODS, "dropped"]


def test_older_files_have_fewer_columns(tmp_path):
    columns = list(asdict(cell("learned", 0.5)))[:9]
    with (tmp_path / "old.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, ["atrium-4mm", "learned", 0, 1000, 0.5, 0.1, 1.0, 2.0, 0]])
    assert read(tmp_path / "old.csv") == [cell("learned", 0.5)]
    assert read(tmp_path / "none.csv") == []
    (tmp_path / "old.csv").write_text("dataset,method\natrium,seeds\n", encoding="utf-8")
    with pytest.raises(PasegError, match=r"old\.csv, line 2"):
        read(tmp_path / "old.csv")


def test_the_committed_cells_are_of_the_grid():
    scores = read(RESULTS / "accuracy.csv")
    assert {score.dataset for score in scores} <= set(TASKS)
    assert {score.method for score in scores} <= set(METHODS)
    assert len({score.key for score in scores}) == len(scores)


@pytest.mark.parametrize("folder", [RESULTS, RESULTS / "phantom"])
def test_every_committed_row_has_its_record(folder):
    scores = read(folder / "accuracy.csv")
    assert {file.stem for file in (folder / "cells").iterdir()} == {score.name for score in scores}
    for score in scores:
        record = json.loads((folder / "cells" / f"{score.name}.json").read_text(encoding="utf-8"))
        assert str(Score(**record["score"])) == str(score)  # as text, because NaN differs from itself
        # Renamed rows keep the name of the command that ran them.
        assert f"--methods {record.get('recorded_as', score.method)} " in record["command"]
        assert (folder / "cases" / f"{score.name}.csv").exists()
        # Earlier versions did not record the precision, and did not refuse local changes.
        assert "precision" not in record or "dirty" not in record["revision"]


@pytest.mark.parametrize("task", sorted(set(TASKS) - {"phantom"}))
def test_the_committed_splits(task):
    split = json.loads((RESULTS / "splits" / f"{task}.json").read_text(encoding="utf-8"))
    training, test = set(split["train"]), set(split["test"])
    assert (len(training), len(test)) == (TASKS[task].num_train, TASKS[task].num_test)
    assert not training & test
    if task in ("glioma", "sarcoma-pet"):  # which use all cases
        assert choose(sorted(training | test), len(training), len(test), 0) == (training, test)


def rows(dices):
    names = enumerate(dices)
    return [Row(f"case_{number}", "tumor", dice, 1.0, 2.0, 1.0, 1.0) for number, dice in names]


def test_score_of_a_cell():
    nothing = Row("case_2", "tumor", 0.0, float("nan"), float("nan"), 1.0, 0.0)
    score = score_of(Run("atrium-4mm", "learned", 1, 20, 50), [*rows([0.9, 0.6]), nothing])
    assert score == Score("atrium-4mm", "learned", 1, 1000, 0.5, 0.3742, 1.0, 2.0, 1)


def test_paired_test(tmp_path):
    learned, adaptive, dense = cell("learned", 0.6), cell("adaptive", 0.5), cell("dense", 0.7)
    scores = [learned, adaptive, dense]
    (tmp_path / "cases").mkdir()
    assert p_value(learned, scores, tmp_path, "adaptive") is None
    for score, dices in ((adaptive, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), (learned, [0.2, 0.4, 0.6, 0.8, 0.95, 1.0])):
        write_csv(rows(dices), tmp_path / "cases" / f"{score.name}.csv", preset="default")
    # All six differences are positive: of the 2^6 equally likely signs, two are as extreme.
    assert p_value(learned, scores, tmp_path, "adaptive") == pytest.approx(2 / 64)
    assert runs_table(scores, tmp_path).count("| 0.031 |  |") == 1
    assert p_value(learned, scores, tmp_path, "dense") is None
    assert p_value(adaptive, scores, tmp_path, "adaptive") is None
    write_csv(rows([0.2]), tmp_path / "cases" / f"{learned.name}.csv", preset="default")
    assert p_value(learned, scores, tmp_path, "adaptive") is None


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
        ("learned", None, 60, (0, 60)),
        ("learned", 0.5, 45, (0, 22)),
        # (37 min - 8 min) / 37 s = 47.03
        ("mixed", 1.0, 60, (1, 47)),
        ("learnedmixed", 1.0, 60, (1, 47)),
        ("mixed", 1.0, 10, (1, 0)),
    ],
)
def test_annotated_cases(labels, share, number, annotated):
    assert cases_for(labels, share, number) == annotated


def test_economics(tmp_path):
    scores = [cell("dense-few", 0.5, point_seed=seed) for seed in (0, 1)]
    scores += [cell("learned", dice, point_seed=seed) for seed, dice in ((0, 0.6), (1, 0.8))]
    # 45 cases: 27.75 min by points, which pay for 3.5 dense masks: four are granted.
    assert curve(scores, CURVES["dense masks"]) == [(32.0, 0.5, 2)]
    assert curve(scores, CURVES["points, learned seeds"]) == [(27.75, pytest.approx(0.7), 2)]
    assert minutes(METHODS["dense"], TASKS["hippocampus2"]) == 60 * 8 * 2
    plot_economics(scores[2:], tmp_path / "nothing.png")
    plot_economics(scores, tmp_path / "economics.png")
    plot_gaps([*MEASURED, cell("paper-exact-stage1", 0.1)], tmp_path / "gaps.png")
    assert {file.name for file in tmp_path.iterdir()} == {"economics.png", "gaps.png"}
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in tmp_path.iterdir())


def test_comparison_with_the_committed_row(tmp_path):
    old = cell("learned", 0.6, "hippocampus-2mm")
    text, close = quick.compare(cell("learned", 0.575, "hippocampus-2mm"), old, 120)
    assert close
    assert "committed 0.600, this run 0.575, difference -0.025, tolerance 0.03" in text
    assert not quick.compare(cell("learned", 0.56, "hippocampus-2mm"), old, 120)[1]
    assert not quick.compare(cell("learned", 0.75, "phantom"), cell("learned", 0.6, "phantom"), 120)[1]
    keep(cell("learned", 0.6), tmp_path / "accuracy.csv")
    assert quick.committed(Run("atrium-4mm", "learned", 0, 20, 50), tmp_path) == cell("learned", 0.6)
    with pytest.raises(PasegError, match="no row of atrium-4mm_learned_0_30epochs_50iterations"):
        quick.committed(Run("atrium-4mm", "learned", 0, 30, 50), tmp_path)


@pytest.mark.parametrize(("task", "weight_seed", "folder"), [("hippocampus-2mm", 1, ""), ("phantom", 0, "phantom")])
def test_the_repeated_run_is_committed(task, weight_seed, folder):
    [run] = runs([task], [quick.METHOD], [Seeds(0, weight_seed)])
    assert quick.committed(run, RESULTS / folder).dice > 0


def test_tables_only(tmp_path, capsys):
    for score in MEASURED:
        keep(score, tmp_path / "accuracy.csv")
    assert main(["--tables-only", "--output", str(tmp_path)]) == 0
    text = (tmp_path / "accuracy.md").read_text(encoding="utf-8")
    assert text == page(read(tmp_path / "accuracy.csv"), tmp_path)
    assert "| learned | 0.650 | 0.100 | 1.00 | 2.00 | 0 | 0.25 |" in text
    assert text in capsys.readouterr().out
    assert (tmp_path / "gap_closed.png").exists()
    with pytest.raises(SystemExit):
        main(["--output", str(tmp_path)])


def test_seeds_of_the_command_line(tmp_path, capsys):
    parse = build_parser().parse_args
    assert seeds_of(parse(["--repeats", "3"])) == [(0, 1), (1, 2), (2, 3)]
    assert seeds_of(parse(["--point-seeds", "0", "1", "--weight-seeds", "1"])) == [(0, 1), (1, 1)]
    assert seeds_of(parse([])) == [(0, 0)]
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--workspace", str(tmp_path), "--repeats", "3", "--weight-seeds", "1"])
    assert "--repeats chooses the seeds" in capsys.readouterr().err


def test_runs_of_a_source_with_local_changes_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.accuracy.source.revision", lambda: "abc1234-dirty")
    assert main([str(tmp_path), "--workspace", str(tmp_path / "space"), "--output", str(tmp_path)]) == 2
    assert "local changes, so that the records could not name the revision" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
