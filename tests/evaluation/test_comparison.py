"""A score says what was compared: absent classes, labels that are not scored, files that cannot be read."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.evaluate import evaluate_folder, find_classes, score_folder
from nnunet_paseg.evaluation.table import mean_scores
from tests.evaluation.test_evaluate import boxes, write

LABEL_MAPS = st.lists(st.integers(0, 4), min_size=8, max_size=8).map(lambda v: np.array(v, np.uint8).reshape(2, 2, 2))


def folders_in(folder: Path, cases: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> tuple[Path, Path]:
    for name in ("predictions", "references"):
        (folder / name).mkdir()
    for number, (prediction, reference) in enumerate(cases):
        write(folder / "predictions" / f"case{number}.nii", prediction)
        write(folder / "references" / f"case{number}.nii", reference)
    return folder / "predictions", folder / "references"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(LABEL_MAPS, LABEL_MAPS), min_size=1, max_size=2), st.sets(st.integers(1, 6), min_size=1))
def test_every_label_is_scored_or_named(cases: list[Any], asked: set[int]) -> None:
    labels = {f"class{value}": value for value in sorted(asked)}
    in_files = {int(value) for pair in cases for array in pair for value in np.unique(array)} - {0}
    with tempfile.TemporaryDirectory() as folder:
        predictions, references = folders_in(Path(folder), cases)
        if not asked & in_files:
            with pytest.raises(PasegError, match="Nothing to compare"):
                score_folder(predictions, references, labels=labels)
            return
        result = score_folder(predictions, references, labels=labels)
    absent = asked - in_files
    means = {mean.class_name: mean for mean in mean_scores(result.rows)}
    assert {name for name, mean in means.items() if mean.is_absent} == {f"class{value}" for value in absent}
    dice = [row.dice for row in result.rows if int(row.class_name[5:]) in in_files]
    assert means["foreground"].dice == pytest.approx(np.mean(dice))
    for value in absent:
        assert any(
            note.startswith(f"class{value} (label {value}) is in no reference and in no") for note in result.notes
        )
    unscored = [note for note in result.notes if note.startswith("Not scored: ")]
    assert len(unscored) == bool(in_files - asked)
    assert all(str(value) in unscored[0] for value in in_files - asked)


def test_a_class_that_is_only_predicted_stays_in_the_mean_and_is_named(tmp_path: Path) -> None:
    reference = np.where(boxes() == 2, 0, boxes())
    predictions, references = folders_in(tmp_path, [(boxes(), reference), (reference, reference)])
    result = score_folder(predictions, references, labels={"lesion": 1, "edema": 2})
    assert result.notes == ("edema is in no reference, but in the prediction of case0: Dice is 0 there, 1 elsewhere.",)
    assert mean_scores(result.rows)[-1].dice == pytest.approx(0.75)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha"])
@settings(max_examples=15, deadline=None)
@given(part=st.floats(0.02, 0.98), side=st.sampled_from(["predictions", "references"]))
def test_a_file_that_is_cut_off_costs_its_case_alone(suffix: str, part: float, side: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place in ("predictions", "references"):
            (folder / place).mkdir()
            for case in ("bad", "good"):
                write(folder / place / f"{case}.{suffix}", np.random.default_rng(0).integers(0, 2, (8, 8, 8), np.uint8))
        file = folder / side / f"bad.{suffix}"
        content = file.read_bytes()
        file.write_bytes(content[: max(1, int(part * len(content)))])
        result = score_folder(folder / "predictions", folder / "references", labels={"one": 1})
    assert [(row.case, row.dice) for row in result.rows] == [("good", 1.0)]
    assert list(result.failures) == ["bad"]
    assert f"{side}/bad.{suffix}" in result.failures["bad"]


def test_nan_is_no_background(tmp_path: Path) -> None:
    values = boxes().astype(np.float32)
    values[0, 0, 0] = np.nan
    predictions, references = folders_in(tmp_path, [(boxes(), values)])
    with pytest.raises(PasegError, match=r"case0\.nii contains 1 NaN or infinite voxels: repair it"):
        evaluate_folder(predictions, references, labels={"lesion": 1})


@settings(max_examples=30, deadline=None)
@given(
    spacing=st.floats(1e-3, 10).map(lambda s: (s, 2 * s, 3 * s)),
    axis=st.integers(0, 2),
    shift=st.one_of(st.floats(0, 0.09), st.floats(0.11, 50)),
)
def test_equal_grids_are_judged_in_parts_of_a_voxel(spacing: tuple[float, ...], axis: int, shift: float) -> None:
    origin = [1.0, 2.0, 3.0]
    origin[axis] += shift * spacing[axis]
    with tempfile.TemporaryDirectory() as folder:
        predictions, references = folders_in(Path(folder), [(boxes(), boxes())])
        write(references / "case0.nii", boxes(), spacing=spacing)
        write(predictions / "case0.nii", boxes(), spacing=spacing, origin=tuple(origin))
        failures = score_folder(predictions, references, labels={"lesion": 1}).failures
    # A tenth of a voxel, with a margin for headers in single precision.
    assert bool(failures) == (shift > 0.1)
    assert all("resample the prediction" in message for message in failures.values())


def test_the_command_writes_good_rows_and_shows_no_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions, references = folders_in(tmp_path, [(boxes(), boxes())] * 3)
    (predictions / "case1.nii").write_bytes((predictions / "case1.nii").read_bytes()[:-100])
    output = tmp_path / "scores.csv"
    command = ["evaluate", "-p", str(predictions), "-r", str(references), "-np", "1", "-l", "1", "7"]
    assert main([*command, "-o", str(output)]) == 2
    shown = capsys.readouterr()
    assert "foreground" not in shown.out
    assert "case1: " in shown.err
    assert "case1.nii is truncated or damaged" in shown.err
    assert f"1 of 3 cases cannot be scored, so no mean is shown; the rows of the others are in {output}" in shown.err
    lines = output.read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["case", *["case0"] * 2, *["case2"] * 2]


def test_the_command_names_what_was_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions, references = folders_in(tmp_path, [(boxes(), boxes())])
    command = ["evaluate", "-p", str(predictions), "-r", str(references), "-np", "1", "-l"]
    assert main([*command, "1", "7"]) == 0
    shown = capsys.readouterr().out
    assert "label 7         1  absent" in shown
    assert "foreground      1  1.0000" in shown
    assert "label 7 is in no reference and in no prediction: absent, not part of the foreground." in shown
    assert f"Not scored: label 2, in {references / 'case0.nii'}, {predictions / 'case0.nii'}." in shown
    assert main([*command, "7"]) == 2
    shown = capsys.readouterr().err
    assert "no reference and no prediction contains label 7; they contain labels 1, 2: correct --labels" in shown


def test_names_are_compared_in_one_unicode_form(tmp_path: Path) -> None:
    predictions, references = folders_in(tmp_path, [])
    write(predictions / "Bu\u0308hler.nii.gz", boxes())
    write(references / "B\u00fchler.nii.gz", boxes())
    (row, _) = evaluate_folder(predictions, references, labels={"lesion": 1, "edema": 2})
    assert (row.case, row.dice) == ("B\u00fchler", 1)
    write(references / "Bu\u0308hler.nii.gz", boxes())
    with pytest.raises(PasegError, match="case B\u00fchler is there twice"):
        evaluate_folder(predictions, references, labels={"lesion": 1})


def test_several_values_per_voxel_are_no_label_map(tmp_path: Path) -> None:
    predictions, references = folders_in(tmp_path, [(boxes(), boxes())])
    (predictions / "case0.nii").unlink()
    image = sitk.ReadImage(str(references / "case0.nii"))
    sitk.WriteImage(sitk.Compose(image, image), str(predictions / "case0.nrrd"))
    with pytest.raises(PasegError, match=r"case0\.nrrd"):
        evaluate_folder(predictions, references, labels={"lesion": 1})


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 3) | st.text(max_size=3),
        lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["labels", "background", "a", ""]), v),
        max_leaves=6,
    )
)
@example([[None, False]])
def test_a_dataset_json_of_any_shape_is_read_or_named(content: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "dataset.json"
        file.write_text(json.dumps({"labels": content}), encoding="utf-8")
        values: Mapping[str, tuple[int, ...]] = {}
        message = str(file)
        try:
            values = find_classes(Path(name), Path(name), dataset_json=file).values
        except PasegError as error:
            message = str(error)
    assert str(file) in message
    assert all(key.strip() and of_class for key, of_class in values.items())
