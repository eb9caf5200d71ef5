"""A bad case costs its row: the page names it, has the rows of the others and no mean, and the exit status is 2."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.report import Sources, write_report
from tests.conftest import write_image
from tests.report.test_report import SPACING_MM, cube, project  # noqa: F401
from tests.report_reader import PageReader


def run(project, *options, references=True):  # noqa: F811
    """Return the exit status and the page of `paseg report`."""
    page = project / "report.html"
    arguments = ["report", "-p", project / "predictions", "-i", project / "images", "-o", page, "--overwrite"]
    arguments += ["-r", project / "truth"] if references else []
    status = main([str(argument) for argument in [*arguments, "-np", 1, *options]])
    return status, PageReader(page)


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def with_nan(path):
    values = cube().astype(np.float32)
    values[0, 0, 0] = np.nan
    write_image(values, path, SPACING_MM)


def of_halves(path):
    write_image(cube() * np.float32(0.5), path, SPACING_MM)


def of_another_grid(path):
    write_image(cube()[1:], path, SPACING_MM)


def no_image(path):
    path.write_text("no image", encoding="utf-8")


def missing(path):
    path.unlink()


BAD = {
    "predictions/good.nii.gz": (cut, with_nan, of_halves, of_another_grid, no_image),
    "truth/good.nii.gz": (cut, with_nan, of_halves, of_another_grid, no_image),
    "images/good_0000.nii.gz": (cut, with_nan, of_another_grid, no_image, missing),
}


@pytest.mark.parametrize(
    ("file", "damage", "references"),
    [
        (file, damage, references)
        for file, kinds in BAD.items()
        for damage in kinds
        for references in (True, False)
        if references or not file.startswith("truth")
    ],
)
def test_a_bad_case_is_named_and_the_others_are_scored(project, capsys, file, damage, references):  # noqa: F811
    damage(project / file)
    status, page = run(project, *([] if "images" in file else ["--pictures", 1]), references=references)
    printed, text = capsys.readouterr(), page.text()
    assert status == 2
    line = next(line for line in printed.err.splitlines() if line.startswith("good: "))
    assert "good" in line.removeprefix("good: ")
    assert "Traceback" not in printed.err
    assert "1 of the cases and models cannot be used" in printed.err
    assert line in text.replace("good : ", "good: ")
    assert "Means are not shown" in text
    assert "median" not in text
    assert ("mid <b>& tumor 0.857" if references else "mid <b>& tumor 0.14") in text
    assert "slices of case good" not in page.values("alt", "img")
    assert "slices of case empty" in page.values("alt", "img")


def test_every_case_may_be_bad(project, capsys):  # noqa: F811
    for path in (project / "truth").iterdir():
        cut(path)
    status, page = run(project)
    assert status == 2
    assert not page.values("alt", "img")
    assert capsys.readouterr().err.count("copy or export it again") == 3


def test_points_and_seeds_that_are_cut_off(project, capsys):  # noqa: F811
    raw = project / "Dataset001_Tiny"
    (raw / "points" / "good.csv").write_bytes(b"\xff\xfecase,x\n" + b'"' * 9)
    status, page = run(project, "-d", raw)
    assert status == 2
    assert "points/good.csv" in capsys.readouterr().err
    assert "good tumor 1.000" in page.text()
    cut(raw / "labelsTr" / "good.nii.gz")
    assert run(project, "-d", raw)[0] == 2


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "{}", '{"cases": []}', '{"cases": {"good": 1}}', '{"cases": {"good": {"instances": 1}}}'],
)
def test_records_of_a_dataset_that_are_none(project, content):  # noqa: F811
    (project / "Dataset001_Tiny" / "paseg.json").write_text(content, encoding="utf-8")
    with pytest.raises(PasegError, match=r"paseg.json: .*; convert the dataset again"):
        write_report(
            Sources(project / "predictions", project / "images", dataset=project / "Dataset001_Tiny"),
            project / "a.html",
        )


@pytest.mark.parametrize("name", ["checkpoint_final.pth", "paseg_patches.png", "progress.png"])
def test_a_training_that_is_cut_off(project, capsys, name):  # noqa: F811
    pytest.importorskip("torch")
    from matplotlib.figure import Figure

    fold = project / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "fold_0"
    fold.mkdir(parents=True)
    Figure(figsize=(1, 1)).savefig(fold / "progress.png")
    shutil.copy(fold / "progress.png", fold / name) if name != "progress.png" else None
    cut(fold / name)
    status, page = run(project, "-m", fold.parent)
    assert status == 2
    assert name in capsys.readouterr().err
    assert "good tumor 1.000" in page.text()


def test_a_figure_that_cannot_be_drawn_costs_a_line(project, capsys, monkeypatch):  # noqa: F811
    def fail(*_):
        raise RuntimeError("no figure")

    monkeypatch.setattr("nnunet_paseg.report.drawing.case_picture", fail)
    status, page = run(project)
    assert status == 0
    assert "good: the figure cannot be drawn (RuntimeError: no figure)" in page.text()
    assert "good tumor 1.000" in page.text()
    assert "median" in page.text()


def test_classes_that_no_case_has_are_named(project):  # noqa: F811
    status, page = run(project, "-l", 1, 3)
    text = page.text()
    assert status == 0
    assert "label 3 is in no reference and in no prediction" in text
    # The mean over the classes is that of the class that there is.
    assert f"foreground Dice 3 {(0 + 2 * 96 / 224 + 1) / 3:.3f}" in text
    assert "label 3 Dice 0 – (–)" in text


def test_names_in_two_unicode_forms_are_one(project):  # noqa: F811
    for folder, form in (("predictions", "u\u0308"), ("truth", "ü"), ("images", "u\u0308")):
        for path in (project / folder).glob("good*"):
            path.rename(path.with_name(path.name.replace("good", form)))
    status, page = run(project)
    assert status == 0
    assert "slices of case ü" in page.values("alt", "img")


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],
)
@given(
    case=st.text(st.sampled_from("a${}\\<>&\"'\t肿 \u202e_^%"), min_size=1, max_size=8),
    tumor=st.text().map("t{}".format),
)
def test_any_name_of_a_case_and_a_class(project, case, tumor):  # noqa: F811
    folder = project / "named"
    shutil.rmtree(folder, ignore_errors=True)
    for kind, suffix in (("predictions", ""), ("truth", ""), ("images", "_0000")):
        (folder / kind).mkdir(parents=True)
        shutil.copy(project / kind / f"good{suffix}.nii.gz", folder / kind / f"{case}{suffix}.nii.gz")
    (folder / "truth" / "dataset.json").write_text(json.dumps({"labels": {"background": 0, tumor: 1}}))
    status, page = run(folder)
    assert status == 0
    assert [alt.startswith("slices of case") for alt in page.values("alt", "img")] == [True]
