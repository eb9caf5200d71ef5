"""The atomic writer: a file or folder is complete, or it is not there."""

import errno
import hashlib
import os
import stat

import pytest

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output, check_folder, check_output, remove_temporaries, sha256, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def half_a_file(file):
    with atomic_output(file) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError


def half_a_folder(folder):
    with atomic_output(folder) as temporary:
        temporary.mkdir()
        (temporary / "half").touch()
        raise RuntimeError


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    file = tmp_path / "a.json"
    write_json({"a": 1}, file)
    with pytest.raises(RuntimeError):
        half_a_file(file)
    with pytest.raises(RuntimeError):
        half_a_folder(tmp_path / "folder")
    assert names(tmp_path) == ["a.json"]
    assert file.read_text(encoding="utf-8") == '{\n  "a": 1\n}\n'


def test_what_a_killed_process_left_of_finished_files_is_removed(tmp_path):
    stray = ".0123456789abcdef."
    for name in ("a.json", f"{stray}a.json", f"{stray}b.json", ".a.json", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / f"{stray}folder").mkdir()
    (tmp_path / f"{stray}folder" / "half").touch()
    remove_temporaries([tmp_path / "a.json", tmp_path / "folder"])
    assert names(tmp_path) == sorted([f"{stray}b.json", ".a.json", ".hidden", "a.json"])


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    """Whatever their machine and process: the names differ within a process too."""
    with atomic_output(tmp_path / "a.txt") as first, atomic_output(tmp_path / "a.txt") as second:
        assert first != second
        assert first.name.endswith(".a.txt")
        first.write_text("first", encoding="utf-8")
        second.write_text("second", encoding="utf-8")
    assert names(tmp_path) == ["a.txt"]


def test_content_and_entry_are_on_the_disk_in_this_order(tmp_path, monkeypatch):
    events, fsync = [], os.fsync

    def recorded(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        events.append((kind, (tmp_path / "a").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    with atomic_output(tmp_path / "a") as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "inner" / "b.txt").write_text("b", encoding="utf-8")
        (temporary / "link").symlink_to("nowhere")
    assert events == [("file", False), ("folder", False), ("folder", False), ("folder", True)]
    assert names(tmp_path / "a") == ["inner", "link"]


def test_names_that_cannot_be_written_are_refused_before_any_work(tmp_path):
    with pytest.raises(PasegError, match=r"the folder .*nowhere does not exist"):
        check_output(tmp_path / "nowhere" / "a.csv")
    with pytest.raises(PasegError, match="is a folder: name a file in it"):
        check_output(tmp_path)
    with pytest.raises(PasegError, match=r"a\.gif: cannot be written as '\.gif'"):
        check_output(tmp_path / "a.gif", (".png", ".pdf"))
    check_output(tmp_path / "a.PNG", (".png", ".pdf"))


def test_a_drive_that_cannot_flush_folders_is_written(tmp_path, monkeypatch):
    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    write_json([], tmp_path / "a.json")
    assert names(tmp_path) == ["a.json"]

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json([1], tmp_path / "a.json")
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "[]\n"


def test_a_missing_folder_is_named_with_a_similar_one(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "imagse.txt").touch()
    check_folder(tmp_path / "images")
    with pytest.raises(PasegError, match=r"imagesTr/x: no such folder: check the path\."):
        check_folder(tmp_path / "imagesTr" / "x")
    with pytest.raises(PasegError, match=r"labels: no such folder: check the path\."):
        check_folder(tmp_path / "labels")
    with pytest.raises(PasegError, match=r"imagse: no such folder: did you mean images\?"):
        check_folder(tmp_path / "imagse")


def test_sha256_of_files_is_that_of_their_content_in_a_row(tmp_path):
    (tmp_path / "a").write_bytes(b"some")
    (tmp_path / "b").write_bytes(b"thing")
    assert sha256([tmp_path / "a", tmp_path / "b"]) == hashlib.sha256(b"something").hexdigest()
