"""Checkpoints and model zips of strangers: code is named, and never executed."""

import contextlib
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.nnunet.check_checkpoint import check_file
from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint

MODEL = {"network_weights": {"w": torch.rand(3)}, "init_args": {"fold": 0}, "logging": {"x": [np.float64(1.5)]}}


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.fixture
def trap(tmp_path):
    yield Trap(tmp_path / "sprung")
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_of_nnunet(tmp_path, capsys):
    torch.save(MODEL, tmp_path / "checkpoint_final.pth")
    assert main(["check-checkpoint", str(tmp_path / "checkpoint_final.pth")]) == 0
    assert capsys.readouterr().out == "ok: tensors, numbers and text only, no code.\n"


def test_code_is_named(tmp_path, trap, capsys):
    file, good = tmp_path / "checkpoint_final.pth", tmp_path / "good.pth"
    torch.save({**MODEL, "more": [trap, np.array([1.0])]}, file)
    torch.save(MODEL, good)
    assert main(["check-checkpoint", str(good), str(file)]) == 1
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{file}: contains {os.mkdir.__module__}.mkdir, ")
    assert line.endswith("which nnU-Net would import and execute: do not load it.")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_other_formats(tmp_path, trap, protocol):
    file = tmp_path / "checkpoint_final.pth"
    torch.save({**MODEL, "more": trap}, file, _use_new_zipfile_serialization=False, pickle_protocol=2)
    assert "neither a checkpoint of torch 1.6 or later nor a model zip" in check_file(file)[0]
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({**MODEL, "more": trap}, protocol=protocol))
    [line] = check_file(file)
    assert "do not load it" in line


def test_a_checkpoint_of_something_else(tmp_path):
    torch.save({"state_dict": {"w": torch.rand(3)}}, tmp_path / "a.pth")
    assert check_file(tmp_path / "a.pth") == [
        f"{tmp_path / 'a.pth'}: contains no code, but it is not a checkpoint of nnU-Net."
    ]
    torch.save([1, 2], tmp_path / "b.pth")
    assert "not a checkpoint" in check_file(tmp_path / "b.pth")[0]


def test_a_model_zip(tmp_path, trap):
    from nnunetv2.postprocessing.remove_connected_components import (
        remove_all_but_largest_component_from_segmentation as function,
    )

    torch.save(MODEL, tmp_path / "good.pth")
    torch.save({**MODEL, "more": trap}, tmp_path / "bad.pth")
    model = tmp_path / "model.zip"
    with zipfile.ZipFile(model, "w") as archive:
        archive.write(tmp_path / "good.pth", "Dataset001_A/T__P__3d/fold_0/checkpoint_final.pth")
        archive.writestr("Dataset001_A/T__P__3d/plans.json", "{}")
        archive.writestr("Dataset001_A/postprocessing.pkl", pickle.dumps(([function], [{"labels": [1]}])))
    assert check_file(model) == []
    with zipfile.ZipFile(model, "a") as archive:
        archive.write(tmp_path / "bad.pth", "Dataset001_A/T__P__3d/fold_1/checkpoint_final.pth")
        archive.writestr("Dataset001_A/other/postprocessing.pkl", pickle.dumps(([trap], [])))
    first, second = check_file(model)
    assert f"{model}, Dataset001_A/T__P__3d/fold_1/checkpoint_final.pth: contains {os.mkdir.__module__}" in first
    assert f"other/postprocessing.pkl: not nnU-Net's postprocessing (contains {os.mkdir.__module__}.mkdir)" in second


def test_a_checkpoint_in_which_a_model_is_hidden(tmp_path, trap):
    torch.save(MODEL, tmp_path / "model.zip")
    assert check_file(tmp_path / "model.zip") == []
    torch.save({**MODEL, "more": trap}, tmp_path / "bad.pth")
    with zipfile.ZipFile(tmp_path / "model.zip", "a") as archive:
        archive.write(tmp_path / "bad.pth", "Dataset001_A/T__P__3d/fold_0/checkpoint_final.pth")
    [line] = check_file(tmp_path / "model.zip")
    assert "both a checkpoint and a model zip: do not load it" in line


def test_files_that_are_none(tmp_path, capsys):
    assert main(["check-checkpoint", str(tmp_path / "none.pth")]) == 2
    assert "none.pth does not exist or is not a file" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    assert check_file(tmp_path / "empty.zip") == [f"{tmp_path / 'empty.zip'}: contains no checkpoint."]


@settings(max_examples=60)
@given(st.floats(0, 1), st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 255)), max_size=5))
@example(1.0, [(0.7116370363076135, 64)])  # the version of the zip format
def test_damaged_files_cost_a_line(tmp_path_factory, kept, changes):
    """Cut off, and with other bytes: read or refused, without any other error."""
    file = tmp_path_factory.mktemp("damaged") / "checkpoint_final.pth"
    torch.save(MODEL, file)
    content = bytearray(file.read_bytes())
    for place, value in changes:
        content[int(place * len(content))] = value
    if kept < 0.5:
        content = content[: int(2 * kept * len(content))]
    file.write_bytes(content)
    assert all(line.startswith(f"{file}: ") for line in check_file(file))
    with contextlib.suppress(PasegError):
        assert isinstance(read_checkpoint(str(file)), dict)
