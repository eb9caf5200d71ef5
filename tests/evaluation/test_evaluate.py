"""Folders of label maps: scores by hand, pairing, geometry, labels, means, CSV and the command line."""

import csv
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk

from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.evaluate import evaluate_folder, find_classes
from nnunet_paseg.evaluation.table import Row, format_table, mean_scores, write_csv

LABELS = {"background": 0, "lesion": 1, "edema": 2, "ignore": 3}
SPACING_XYZ = (0.5, 0.5, 2.0)


def write(path: Path, array: npt.ArrayLike, **header: tuple[float, ...]) -> None:
    image = sitk.GetImageFromArray(np.asarray(array))
    image.SetSpacing(header.get("spacing", SPACING_XYZ))
    image.SetOrigin(header.get("origin", (1.0, 2.0, 3.0)))
    image.SetDirection(header.get("direction", (1.0, 0, 0, 0, 1, 0, 0, 0, 1)))
    sitk.WriteImage(image, str(path))


def boxes() -> npt.NDArray[np.uint8]:
    labels = np.zeros((4, 12, 12), dtype=np.uint8)
    labels[1:3, 2:6, 2:6] = 1
    labels[1:3, 6:9, 2:6] = 2
    return labels


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A dataset with two reference cases, predicted perfectly."""
    predictions, references = tmp_path / "predictions", tmp_path / "labelsTs"
    predictions.mkdir()
    references.mkdir()
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": LABELS}), encoding="utf-8")
    for case in ("a", "b"):
        write(predictions / f"{case}.nii.gz", boxes())
        write(references / f"{case}.nii.gz", boxes())
    (predictions / "plans.json").write_text("{}", encoding="utf-8")  # nnUNetv2_predict leaves more than label maps
    return predictions, references


def by_key(rows: list[Row]) -> dict[tuple[str, str], Row]:
    return {(row.case, row.class_name): row for row in rows}


def test_scores_by_hand(folders: tuple[Path, Path]) -> None:
    predictions, references = folders
    shifted = np.roll(boxes(), 1, axis=0)  # one slice of 2 mm
    shifted[shifted == 2] = 0
    write(predictions / "b.nii.gz", shifted)
    rows = by_key(evaluate_folder(predictions, references))
    assert list(rows) == [("a", "lesion"), ("a", "edema"), ("b", "lesion"), ("b", "edema")]
    edema = rows["a", "edema"]
    assert (edema.dice, edema.assd_mm, edema.hd95_mm) == (1, 0, 0)
    assert edema.reference_ml == edema.prediction_ml == pytest.approx(24 * 0.5 / 1000)
    lesion = rows["b", "lesion"]
    assert lesion.dice == pytest.approx(0.5)
    # Two slices, all surface: one coincides, the voxels of the other lie 2 mm away.
    assert lesion.assd_mm == pytest.approx(1.0)
    assert lesion.hd95_mm == pytest.approx(2.0)
    assert lesion.reference_ml == pytest.approx(32 * 0.5 / 1000)
    assert rows["b", "edema"].dice == 0
    assert math.isnan(rows["b", "edema"].assd_mm)
    assert rows["b", "edema"].prediction_ml == 0


def test_processes_give_the_same_rows(folders: tuple[Path, Path]) -> None:
    assert evaluate_folder(*folders, num_processes=2) == evaluate_folder(*folders)


def test_errors_of_a_worker_arrive(folders: tuple[Path, Path]) -> None:
    write(folders[0] / "b.nii.gz", boxes()[:, :-1])
    with pytest.raises(PasegError, match="b: size"):
        evaluate_folder(*folders, num_processes=2)


def test_preset_changes_the_definition(folders: tuple[Path, Path]) -> None:
    smaller = boxes()
    smaller[:, 2] = 0
    write(folders[0] / "a.nii.gz", smaller)
    ours, medpy = evaluate_folder(*folders)[0], evaluate_folder(*folders, preset="medpy-0.4")[0]
    # 24 predicted voxels at distance 0; of the 32 of the reference the 8 removed are 0.5 mm away.
    assert ours.assd_mm == pytest.approx(8 * 0.5 / 56)
    assert medpy.assd_mm == pytest.approx((0 + 8 * 0.5 / 32) / 2)


def test_file_endings_may_differ(folders: tuple[Path, Path]) -> None:
    predictions, references = folders
    (predictions / "a.nii.gz").unlink()
    write(predictions / "a.mha", boxes())
    assert by_key(evaluate_folder(predictions, references))["a", "lesion"].dice == 1
    write(predictions / "a.nrrd", boxes())
    with pytest.raises(PasegError, match=r"case a is there twice, as a\.mha and a\.nrrd"):
        evaluate_folder(predictions, references)


def test_missing_predictions(folders: tuple[Path, Path]) -> None:
    predictions, references = folders
    for case in ("c", "d", "e", "f"):
        write(references / f"{case}.nii.gz", boxes())
    with pytest.raises(PasegError, match="no prediction for c, d, e and 1 more of 6 cases"):
        evaluate_folder(predictions, references)
    rows = by_key(evaluate_folder(predictions, references, missing_as_empty=True))
    assert rows["c", "lesion"].missing_prediction
    assert rows["c", "lesion"].dice == 0
    assert not rows["a", "lesion"].missing_prediction


def test_extra_predictions(folders: tuple[Path, Path]) -> None:
    write(folders[0] / "z.nii.gz", boxes())
    with pytest.raises(PasegError, match="no reference for z: move"):
        evaluate_folder(*folders)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("spacing", {"spacing": (0.5, 0.5, 2.1)}),
        ("origin", {"origin": (1.0, 2.1, 3.0)}),
        ("direction", {"direction": (-1.0, 0, 0, 0, -1, 0, 0, 0, 1)}),
    ],
)
def test_geometry_must_agree(folders: tuple[Path, Path], name: str, header: Mapping[str, Any]) -> None:
    write(folders[0] / "b.nii.gz", boxes(), **header)
    with pytest.raises(PasegError, match=rf"b: {name} \(x, y, z\) of .*b\.nii\.gz is \(.*resample the prediction"):
        evaluate_folder(*folders)


def test_rounding_of_headers_is_no_disagreement(folders: tuple[Path, Path]) -> None:
    write(folders[0] / "b.nii.gz", boxes(), spacing=(0.50001, 0.5, 2.0), origin=(1.0001, 2.0, 3.0))
    assert len(evaluate_folder(*folders)) == 4


def test_labels_must_be_declared(folders: tuple[Path, Path]) -> None:
    predictions, references = folders
    labels = boxes()
    labels[0, 0, 0] = 7
    write(predictions / "a.nii.gz", labels)
    with pytest.raises(PasegError, match=r"a\.nii\.gz: labels \(7\) are not in .*dataset\.json"):
        evaluate_folder(predictions, references)
    assert {row.class_name for row in evaluate_folder(predictions, references, labels={"seven": 7, "one": 1})} == {
        "seven",
        "one",
    }


def test_reference_with_ignore_label(folders: tuple[Path, Path]) -> None:
    labels = boxes()
    labels[0, 0, 0] = 3
    write(folders[0] / "a.nii.gz", labels)  # seeds may be compared with a dense mask ...
    assert evaluate_folder(*folders)[0].dice == 1
    write(folders[1] / "a.nii.gz", labels)  # ... but are none
    with pytest.raises(PasegError, match=r"labelsTs/a\.nii\.gz: contains the ignore label 3"):
        evaluate_folder(*folders)


def test_regions(folders: tuple[Path, Path]) -> None:
    predictions, references = folders
    swapped = boxes()
    swapped[boxes() == 2] = 1
    write(predictions / "a.nii.gz", swapped)
    path = predictions / "dataset.json"
    path.write_text(json.dumps({"labels": {"background": 0, "whole": [1, 2], "core": 2}}), encoding="utf-8")
    rows = by_key(evaluate_folder(predictions, references, dataset_json=path))
    assert rows["a", "whole"].dice == 1
    assert rows["a", "core"].dice == 0


def test_dataset_json_is_needed_and_checked(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predictions, references = folders
    (tmp_path / "dataset.json").write_text('{"label": {}}', encoding="utf-8")
    with pytest.raises(PasegError, match=r"dataset\.json: not a dataset\.json with nnU-Net's \"labels\""):
        evaluate_folder(predictions, references)
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0}}', encoding="utf-8")
    with pytest.raises(PasegError, match=r"dataset\.json: no foreground class to score"):
        evaluate_folder(predictions, references)
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(PasegError, match=r"no dataset\.json in or next to .*labelsTs: pass --dataset-json"):
        evaluate_folder(predictions, references)
    (predictions / "dataset.json").write_text(json.dumps({"labels": LABELS}), encoding="utf-8")
    assert len(evaluate_folder(predictions, references)) == 4


def test_unusable_input(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predictions, references = folders
    with pytest.raises(PasegError, match="nowhere: no such folder"):
        evaluate_folder(tmp_path / "nowhere", references)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PasegError, match=r"empty: no label maps; expected {case} with one of \.nii\.gz"):
        evaluate_folder(predictions, tmp_path / "empty")
    with pytest.raises(PasegError, match="unknown metrics preset 'best'"):
        evaluate_folder(predictions, references, preset="best")
    with pytest.raises(PasegError, match="number of processes is 0: it must be 1 or more"):
        evaluate_folder(predictions, references, num_processes=0)
    write(predictions / "a.nii.gz", boxes() + np.float32(0.25))
    with pytest.raises(PasegError, match=r"a\.nii\.gz: not a label map"):
        evaluate_folder(predictions, references)
    (predictions / "a.nii.gz").write_bytes(b"no image")
    with pytest.raises(PasegError, match=r"Cannot read the image .*a\.nii\.gz \(it has no NIfTI header"):
        evaluate_folder(predictions, references)


def rows_with_undefined() -> list[Row]:
    nan = math.nan
    return [
        Row("a", "lesion", 0.8, 1.0, 2.0, 1.0, 1.0),
        Row("b", "lesion", 0.0, nan, nan, 1.0, 0.0),
        Row("a", "edema", 0.4, 4.0, 8.0, 1.0, 1.0),
        Row("b", "edema", 1.0, nan, nan, 0.0, 0.0, missing_prediction=True),
    ]


def test_means_count_what_is_undefined() -> None:
    lesion, edema, foreground = mean_scores(rows_with_undefined())
    assert (lesion.dice, lesion.assd_mm, lesion.hd95_mm, lesion.undefined_distances) == (0.4, 1.0, 2.0, 1)
    assert edema.dice == pytest.approx(0.7)
    assert foreground.class_name == "foreground"
    assert foreground.dice == pytest.approx(0.55)
    assert foreground.assd_mm == pytest.approx(2.5)
    assert (foreground.rows, foreground.undefined_distances) == (4, 2)
    only_undefined = mean_scores(rows_with_undefined()[1:2])[0]
    assert math.isnan(only_undefined.assd_mm)
    assert only_undefined.undefined_distances == 1


def test_table_shows_counts_and_definitions() -> None:
    table = format_table(mean_scores(rows_with_undefined()), preset="default")
    assert "foreground      4  0.5500     2.500     5.000  2 of 4" in table
    assert "default: ASSD = mean over both surfaces pooled; HD95 = larger of the two directed 95th percentiles" in table


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_csv(rows_with_undefined(), path, preset="medpy-0.4")
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert lines[0]["case"] == "a"
    assert lines[0]["class"] == "lesion"
    assert lines[0]["definition"] == "medpy-0.4"
    assert math.isnan(float(lines[1]["assd_mm"]))
    assert [line["missing_prediction"] for line in lines] == ["0", "0", "0", "1"]
    assert list(tmp_path.iterdir()) == [path]


def test_files_and_tables_stay_byte_for_byte(tmp_path: Path) -> None:
    """What the first version, without pandas, wrote and printed of the same rows."""
    nan = math.nan
    rows = [
        Row('a, "b"', "lesion", 2 / 3, 1.23456789, 12345678.9, 1e-7, 0.5),
        Row("ü", "edema", 1.0, 0.0, 0.0, 3.0, 1234567.0),
        Row("c", "lesion", 0.0, nan, nan, 1.0, 0.0, missing_prediction=True),
    ]
    write_csv(rows, tmp_path / "scores.csv", preset="medpy-0.4")
    assert (tmp_path / "scores.csv").read_bytes().decode("utf-8") == (
        "case,class,dice,assd_mm,hd95_mm,reference_ml,prediction_ml,missing_prediction,definition\r\n"
        '"a, ""b""",lesion,0.666667,1.23457,1.23457e+07,1e-07,0.5,0,medpy-0.4\r\n'
        "ü,edema,1,0,0,3,1.23457e+06,0,medpy-0.4\r\n"
        "c,lesion,0,nan,nan,1,0,1,medpy-0.4\r\n"
    )
    assert format_table(mean_scores(rows), preset="default").splitlines() == [
        "class           n    Dice   ASSD mm   HD95 mm  undefined distances",
        "lesion          2  0.3333     1.235  12345678.900  1 of 2",
        "edema           1  1.0000     0.000     0.000  0 of 1",
        "foreground      3  0.5556     0.617  6172839.450  1 of 3",
        "",
        "default: ASSD = mean over both surfaces pooled; HD95 = larger of the two directed 95th percentiles",
        "Distances are undefined where a mask is empty and not in their means.",
    ]


def test_a_file_name_that_is_no_utf8_is_written_as_its_bytes(tmp_path: Path) -> None:
    write_csv([Row("caf\udce9", "lesion", 1.0, 0.0, 0.0, 1.0, 1.0)], tmp_path / "s.csv", preset="default")
    assert b"\r\ncaf\xe9,lesion,1" in (tmp_path / "s.csv").read_bytes()


def test_csv_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("before", encoding="utf-8")

    def broken() -> Any:
        yield rows_with_undefined()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_csv(broken(), path, preset="default")
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(PasegError, match=r"nowhere/scores\.csv: cannot be written"):
        write_csv([], tmp_path / "nowhere" / "scores.csv", preset="default")


def test_an_output_that_cannot_be_written_costs_no_work(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnunet_paseg.evaluation.processes.score_case", lambda _: pytest.fail("scored a case"))
    command = ["evaluate", "-p", str(folders[0]), "-r", str(folders[1]), "-np", "1", "-o"]
    assert main([*command, str(tmp_path / "missing" / "s.csv")]) == 2
    assert "s.csv: the folder " in (shown := capsys.readouterr().err)
    assert "missing does not exist: create it first" in shown
    assert main([*command, str(tmp_path)]) == 2
    assert "is a folder: name a file in it" in capsys.readouterr().err


def test_command(folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions, references = folders
    write(references / "c.nii.gz", boxes())
    output = tmp_path / "scores.csv"
    command = ["evaluate", "-p", str(predictions), "-r", str(references), "-o", str(output), "-np", "1"]
    assert main(command) == 2
    assert "paseg: error: " in capsys.readouterr().err
    assert not output.exists()
    assert main([*command, "--missing-as-empty"]) == 0
    shown = capsys.readouterr().out
    assert "foreground      6  0.6667     0.000     0.000  2 of 6" in shown
    assert "1 of 3 cases have no prediction and count as empty." in shown
    assert len(output.read_text(encoding="utf-8").splitlines()) == 7
    assert main([*command, "--missing-as-empty", "--labels", "2", "--preset", "medpy-0.4"]) == 0
    shown = capsys.readouterr().out
    assert "label 2" in shown
    assert "lesion" not in shown
    assert "medpy-0.4: ASSD = mean of the two directed means" in shown


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"Background": 0, "tumor": 1}, "the label value 0 is not a whole number from 1"),
        ({"tumor": [0, 1]}, "the label value 0 is not"),
        ({"tumor": [1.7]}, "the label value 1.7 is not"),
        ({"tumor": True}, "the label value True is not"),
        ({"tumor": 1, "edema": 1}, "two classes have the same label values"),
        ({"tumor": 1, "ignore": 0}, "the label value 0 is not"),
        ({"tumor": 1, "ignore": 1}, "the ignore label is 1"),
    ],
)
def test_label_values_that_would_score_something_else_are_refused(tmp_path, labels, message):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    with pytest.raises(PasegError, match=rf"dataset\.json.*{re.escape(message)}"):
        find_classes(tmp_path, tmp_path)


def test_infinite_label_values_are_refused(tmp_path):
    (tmp_path / "dataset.json").write_text('{"labels": {"tumor": [Infinity], "ignore": 1e999}}', encoding="utf-8")
    with pytest.raises(PasegError, match="the label value inf is not a whole number"):
        find_classes(tmp_path, tmp_path)


def test_distances_in_micrometres_have_digits():
    rows = [Row("a", "tumor", 0.9, 0.00042, 0.0012, 1.0, 1.0)]
    assert "0.00042    0.0012" in format_table(mean_scores(rows), preset="default")
