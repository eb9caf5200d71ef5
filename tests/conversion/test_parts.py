"""Conversions in parts, and conversions that were stopped while they were being completed."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.conversion.convert import convert, convert_part
from nnunet_paseg.errors import PasegError
from tests.conftest import load_script
from tests.conversion.test_convert import PLAN, cases_of, contents


def parts(cases, raw, order, number=3, **options):
    return [
        convert_part(cases, PLAN, raw, part_id=part, num_parts=number, num_processes=1, **options) for part in order
    ]


def test_the_last_part_completes_the_dataset(dense_dataset, tmp_path):
    cases = cases_of(dense_dataset, 5)
    whole = convert(cases, PLAN, tmp_path / "whole", num_processes=1)
    made = parts(cases, tmp_path / "parts", (2, 0, 0, 1))
    assert made == [None, None, None, tmp_path / "parts" / PLAN.name]
    assert contents(tmp_path / "parts") == contents(whole.parent)
    with pytest.raises(PasegError, match="exists already"):
        parts(cases, tmp_path / "parts", (0,))


def test_a_plain_call_completes_what_parts_left(dense_dataset, tmp_path, capsys):
    cases = cases_of(dense_dataset, 5)
    parts(cases, tmp_path / "raw", (0, 1))
    capsys.readouterr()
    convert(cases, PLAN, tmp_path / "raw", num_processes=1)
    assert " 1/1 [" in capsys.readouterr().err
    assert contents(tmp_path / "raw") == contents(convert(cases, PLAN, tmp_path / "b", num_processes=1).parent)


def test_parts_that_run_at_the_same_time(dense_dataset, tmp_path):
    cases = cases_of(dense_dataset, 6)
    expected = contents(convert(cases, PLAN, tmp_path / "whole", num_processes=1).parent)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda part: parts(cases, tmp_path / "raw", (part,), number=6), range(6)))
    assert [tmp_path / "raw" / PLAN.name] in made
    assert contents(tmp_path / "raw") == expected


def test_parts_that_do_not_exist(dense_dataset, tmp_path, capsys):
    with pytest.raises(PasegError, match=r"The parts are 0\.\.2: there is no part 3"):
        parts(cases_of(dense_dataset, 2), tmp_path, (3,))
    script = load_script("from_dense_dataset")
    arguments = [str(dense_dataset), "2", "--raw", str(tmp_path / "raw"), "--num-processes", "1"]
    assert run(script.main, script.build_parser(), [*arguments, "--num-parts", "2"]) == 2
    assert "--num-parts and --part-id belong together" in capsys.readouterr().err
    assert run(script.main, script.build_parser(), [*arguments, "--num-parts", "2", "--part-id", "1"]) == 0
    assert "Part 1 of 0..1 is done; the last part to end" in capsys.readouterr().out
    assert run(script.main, script.build_parser(), [*arguments, "--num-parts", "2", "--part-id", "0"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "raw" / PLAN.name)


class Stopped(BaseException):
    """Stands for a kill."""


STEPS = (
    "conversion.convert.describe",
    "conversion.describe.generate_dataset_json",
    "conversion.describe.write_json",
    "conversion.convert.clean_up",
    "rmtree .records",
    "conversion.convert.move_to",
    "replace completing",
)
REPLACING = (*STEPS, "replace Dataset", "rmtree .replaced")


@pytest.mark.parametrize(
    ("step", "overwrite"), [(step, False) for step in STEPS] + [(step, True) for step in REPLACING]
)
def test_stopped_at_any_step_of_the_completion(dense_dataset, tmp_path, monkeypatch, step, overwrite):
    cases, raw = cases_of(dense_dataset, 3), tmp_path / "raw"
    expected = contents(convert(cases, PLAN, tmp_path / "whole", num_processes=1).parent)
    old = contents(convert(cases[:1], PLAN, raw, num_processes=1)) if overwrite else None
    verb, _, what = step.partition(" ")

    def stop_at(real):
        def function(path, *args, **options):
            if not what or what in Path(path).name.replace(f".{PLAN.name}", ""):
                raise Stopped
            return real(path, *args, **options)

        return function

    with monkeypatch.context() as patch:
        if verb == "rmtree":
            patch.setattr("nnunet_paseg.conversion.staging.shutil.rmtree", stop_at(shutil.rmtree))
        elif verb == "replace":
            patch.setattr("pathlib.Path.replace", stop_at(Path.replace))
        else:
            patch.setattr(f"nnunet_paseg.{verb}", stop_at(None))
        with pytest.raises(Stopped):
            convert(cases, PLAN, raw, num_processes=1, overwrite=overwrite)
    if step != "rmtree .replaced":
        if overwrite and step != "replace completing":
            assert contents(raw / PLAN.name) == old
        # A part cannot know whether somebody is still at work; a plain call goes on.
        assert parts(cases, raw, (0,), overwrite=overwrite) == [None]
    convert(cases, PLAN, raw, num_processes=1, overwrite=overwrite)
    assert contents(raw) == expected


def test_half_written_files_of_killed_processes_do_not_stay(dense_dataset, tmp_path):
    cases = cases_of(dense_dataset, 2)
    parts(cases, tmp_path / "raw", (0,), number=2)
    (staging,) = (tmp_path / "raw").iterdir()
    for name in ("imagesTr/.7.case_1_0000.nii.gz", "labelsTr/.7.case_1.nii.gz", "records/.7.case_1.json", ".7.x"):
        (staging / name).write_text("half", encoding="utf-8")
    convert(cases, PLAN, tmp_path / "raw", num_processes=1)
    assert contents(tmp_path / "raw") == contents(convert(cases, PLAN, tmp_path / "b", num_processes=1).parent)


def test_referenced_images_are_where_nnunet_finds_them(dense_dataset, tmp_path):
    cases = [*cases_of(dense_dataset, 2), *cases_of(dense_dataset, 3, split="test")[2:]]
    folder = convert(cases, replace(PLAN, images="reference"), tmp_path / "raw", num_processes=1)
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
        "imagesTs",
        "labelsTr",
        "labelsTs",
        "points",
    ]
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    found = get_filenames_of_train_images_and_targets(str(folder), content)
    assert found == {
        case.identifier: {
            "images": [str(case.images[0])],
            "label": str(folder / "labelsTr" / f"{case.identifier}.nii.gz"),
        }
        for case in cases[:2]
    }


def test_validation_cases_make_fold_0(dense_dataset, tmp_path):
    cases = cases_of(dense_dataset, 4)
    folder = convert(cases, replace(PLAN, validation=("case_2",)), tmp_path / "raw", num_processes=1)
    expected = [{"train": ["case_0", "case_1", "case_3"], "val": ["case_2"]}]
    assert json.loads((folder / "splits_final.json").read_text(encoding="utf-8")) == expected
    for validation, message in [(("x",), r"not: \['x'\]"), (tuple(c.identifier for c in cases), "no training case")]:
        with pytest.raises(PasegError, match=message):
            convert(cases, replace(PLAN, validation=validation), tmp_path / "b", num_processes=1)
