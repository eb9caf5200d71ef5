"""Templates for 3D Slicer."""

import numpy as np
import pytest

from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.annotation import PLACES, Annotation, planned_clicks
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.annotation_file import read_annotation
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.template import write_template

GRID = Grid((30, 30, 30), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel().tolist()))


def test_the_command_writes_one_list_per_target_and_class(tmp_path, capsys):
    folder = tmp_path / "lists"
    assert main(["template", "--classes", "tumor", "left kidney", "--targets", "2", "-o", str(folder)]) == 0
    names = ["tumor_1", "tumor_2", "tumor_absent", "left_kidney_1", "left_kidney_2", "left_kidney_absent"]
    assert capsys.readouterr().out.split("\n") == [*(f"{folder / name}.mrk.json" for name in names), ""]
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.mrk.json" for name in names)
    classes = ["tumor", "left kidney"]
    assert read_annotation(folder / "tumor_2.mrk.json", classes) == Annotation(planned_clicks("tumor", 2))
    assert read_annotation(folder / "left_kidney_absent.mrk.json", classes) == Annotation(absent=("left kidney",))


@pytest.mark.parametrize("name", ["tumor", "left kidney", "T2", "segment-4", "Ödem", "a/b", "x:y"])
def test_a_folder_of_lists_is_unfinished_until_it_is_clicked(tmp_path, name):
    files = write_template(tmp_path / "case_1", [name])
    assert len(files) == len(list((tmp_path / "case_1").iterdir())) == 2
    files[1].unlink()
    with pytest.raises(PasegError, match=f"case_1, {name} 1: {', '.join(PLACES)} are not placed: click"):
        read_points(tmp_path / "case_1", GRID, [name, "other"])


def test_a_folder_of_absent_classes_has_no_target(tmp_path):
    for path in write_template(tmp_path / "case_1", ["tumor", "left kidney", "a/b"]):
        annotation = read_annotation(path, ["tumor", "left kidney", "a/b"])
        if not annotation.absent:
            path.unlink()
    assert read_points(tmp_path / "case_1", GRID, ["tumor", "left kidney", "a/b"]) == []


def test_what_is_rejected(tmp_path, capsys):
    with pytest.raises(PasegError, match=r"A template has 1 to 99 targets per class, not 0: change --targets"):
        write_template(tmp_path / "a", ["tumor"], targets=0)
    with pytest.raises(PasegError, match="would be read as one of class 'grade 1': rename one of the classes"):
        write_template(tmp_path / "a", ["grade", "grade 1"])
    (tmp_path / "there").mkdir()
    assert main(["template", "-o", str(tmp_path / "there")]) == 2
    assert "there exists already: name a new folder for the template." in capsys.readouterr().err
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PasegError, match=r"cannot be written \(.*\): name a different folder"):
        write_template(tmp_path / "file" / "a", ["tumor"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"]
