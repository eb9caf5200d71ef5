"""Files of cases by channel: by the numbers in their names, whatever else is in the folder."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import CaseFiles, find_case_files, find_images, label_maps


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def channels_of(found):
    return {case: files.channels for case, files in found.items()}


def test_numbers_are_channels_and_not_the_order_of_the_files(tmp_path):
    names = ("a_0000.nii.gz", "a_0002.nii.gz", "b_0000.nii.gz", "b_0001.NII.GZ", "c_0001.nii.gz", "pat_2021.nii.gz")
    found = find_images(touch(tmp_path, *names))
    assert channels_of(found) == {"a": (0, 2), "b": (0, 1), "c": (1,), "pat_2021": (0,)}
    assert found["a"].channel_problem(2) == (
        "lacks channel 0001 (found 0000, 0002): add the file, or leave out the case; has channel 0002, but the dataset "
        "has 2 channels (0000, 0001): remove the file, or correct the channel names"
    )
    assert found["b"].channel_problem(2) is None
    assert "lacks channel 0000 (found 0001)" in found["c"].channel_problem(2)
    assert "lacks channel 0001 (found 0000)" in found["pat_2021"].channel_problem(2)


def test_channels_that_start_at_1_are_told_by_the_names_of_the_points(tmp_path):
    touch(tmp_path / "images", "a_0001.nii.gz", "a_0002.nii.gz")
    touch(tmp_path / "points", "a.mrk.json")
    [case] = find_case_files(tmp_path / "images", tmp_path / "points")
    assert (case.identifier, case.channels) == ("a", (1, 2))
    assert "lacks channel 0000 (found 0001, 0002)" in case.channel_problem(2)


def test_numbered_patients_are_cases(tmp_path):
    touch(tmp_path / "images", "case_0001.nii.gz", "case_0002.nii.gz", "case_0003.nii.gz")
    touch(tmp_path / "points", "case_0001.csv", "case_0002.csv", "case_0003.csv")
    cases = find_case_files(tmp_path / "images", tmp_path / "points")
    assert [(case.identifier, case.channels) for case in cases] == [(f"case_000{n}", (0,)) for n in (1, 2, 3)]
    assert channels_of(find_images(tmp_path / "images")) == {f"case_000{n}": (0,) for n in (1, 2, 3)}


def test_channels_that_are_there_twice_are_named(tmp_path):
    found = find_images(touch(tmp_path, "a_0000.nii.gz", "a_0000.nrrd", "a_0001.nii.gz", "b.nii", "b.nii.gz"))
    assert (
        found["a"].channel_problem(2) == "has channel 0000 more than once (a_0000.nii.gz, a_0000.nrrd): keep one file"
    )
    assert found["b"].channel_problem(1) == "has channel 0000 more than once (b.nii, b.nii.gz): keep one file"


@given(st.lists(st.integers(0, 5), max_size=6), st.integers(1, 4))
def test_exactly_one_file_per_channel_is_no_problem(channels, number):
    channels = tuple(sorted(channels))
    files = CaseFiles("a", tuple(Path(f"a_{channel:04d}.nii.gz") for channel in channels), channels=channels)
    problem = files.channel_problem(number)
    assert (problem is None) == (channels == tuple(range(number)))
    for channel in set(channels) ^ set(range(number)):
        assert f"{channel:04d}" in problem


@given(st.text("aäöé", min_size=1, max_size=4))
def test_names_are_compared_in_one_unicode_form(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("names")
    one, other = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    touch(folder / "images", f"{one}_0000.nii.gz")
    touch(folder / "points", f"{other}.csv")
    [case] = find_case_files(folder / "images", folder / "points")
    assert (case.identifier, len(case.images), len(case.points)) == (one, 1, 1)
    assert set(label_maps(touch(folder / "masks", f"{other}.nii.gz"))) == {one}


def test_one_name_in_two_forms_is_there_twice(tmp_path):
    touch(tmp_path, *(unicodedata.normalize(form, "müller.nii.gz") for form in ("NFC", "NFD")))
    with pytest.raises(PasegError, match="case müller is there twice"):
        label_maps(tmp_path)


def test_a_line_break_in_a_name_hides_no_channel(tmp_path):
    assert channels_of(find_images(touch(tmp_path, "a\nb_0000.nii.gz", "a\nb_0001.nii.gz"))) == {"a\nb": (0, 1)}
