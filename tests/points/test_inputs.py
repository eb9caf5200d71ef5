"""Input files of a case: points, and the files next to them that say how to read them."""

import os

import pytest

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.inputs import input_state


def write(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(name, encoding="utf-8")
    return [folder / name for name in names]


def test_size_and_time_of_every_file(tmp_path):
    image, points = write(tmp_path, "a.nii.gz", "a.csv")
    os.utime(points, ns=(1, 2))
    state = input_state([image, image], points)
    assert state == {str(points): [5, 2], str(image): [8, image.stat().st_mtime_ns]}


def test_a_case_without_points(tmp_path):
    (image,) = write(tmp_path, "a.nii.gz")
    assert [*input_state([image], None)] == [str(image)]


def test_files_that_state_how_points_are_read(tmp_path):
    one, *beside = write(tmp_path, "a.csv", "axes.txt", "labels.txt")
    write(tmp_path, "b.csv", "notes.txt")
    assert {*input_state([], one)} == {str(path) for path in (one, *beside)}


def test_a_folder_of_points(tmp_path):
    files = write(tmp_path / "a", "R.mrk.json", "tumor.mrk.json", "axes.txt")
    write(tmp_path / "a", "notes.txt")
    write(tmp_path, "axes.txt")
    assert {*input_state([], tmp_path / "a")} == {str(path) for path in files}


def test_files_that_are_missing(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(PasegError, match="contains no point file"):
        input_state([], tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        input_state([tmp_path / "b.nii.gz"], None)
