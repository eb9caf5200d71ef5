import random
import re
import zipfile

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform

from nnunet_paseg.errors import PasegError
from nnunet_paseg.trainers.checkpoints.resume import (
    CHECKPOINTS,
    fix_blur,
    random_state,
    read_checkpoint,
    rename_old_checkpoints,
    set_random_state,
    write_checkpoint,
)

CPU = torch.device("cpu")


class Killed(BaseException):
    """Stands for the end of the process."""


def seed_everything(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def draw():
    return random.random(), np.random.rand(3).tolist(), np.random.randn(), torch.rand(3).tolist()


def test_the_random_state_comes_back():
    seed_everything(1)
    np.random.randn()  # keeps the second of a pair of normal numbers
    state = random_state(CPU)
    first = draw()
    assert draw() != first
    set_random_state(state, CPU)
    assert draw() == first


def test_the_random_state_outlives_a_checkpoint_that_holds_no_code(tmp_path):
    seed_everything(2)
    write_checkpoint({"state": random_state(CPU)}, str(tmp_path / "checkpoint.pth"))
    first = draw()
    set_random_state(read_checkpoint(str(tmp_path / "checkpoint.pth"))["state"], CPU)
    assert draw() == first


def test_numbers_of_numpy_are_read(tmp_path):
    figures = [np.float64(0.5), np.float32(0.25), np.int64(3), np.bool_(True), float("nan")]
    file = str(tmp_path / "checkpoint.pth")
    torch.save({"logging": figures}, file)
    read = read_checkpoint(file)["logging"]
    assert read[:4] == figures[:4]
    assert [type(value) for value in read] == [type(value) for value in figures]


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_a_checkpoint_of_another_numpy_is_read(tmp_path, module):
    source, file = tmp_path / "source.pth", tmp_path / "checkpoint.pth"
    torch.save({"logging": [np.float64(0.5)]}, source)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            # The name of a module stands with a line's end in a pickle of protocol 2.
            new.writestr(name, re.sub(rb"cnumpy\._?core\.multiarray\n", f"c{module}\n".encode(), old.read(name)))
    assert module.encode() in file.read_bytes()
    assert read_checkpoint(str(file)) == {"logging": [0.5]}


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'sprung')!r}, 'w')",))

    file = str(tmp_path / "checkpoint.pth")
    torch.save({"network_weights": Trap()}, file)
    with pytest.raises(PasegError, match="cannot be read"):
        read_checkpoint(file)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_damaged_checkpoint_is_named(tmp_path, part):
    file = tmp_path / "checkpoint_final.pth"
    torch.save({"weights": torch.rand(1000)}, file)
    file.write_bytes(file.read_bytes()[: int(part * file.stat().st_size)])
    with pytest.raises(PasegError, match=r"checkpoint_final\.pth cannot be read .* rename it, and train again"):
        read_checkpoint(str(file))


def test_a_kill_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    file = str(tmp_path / "checkpoint.pth")
    write_checkpoint({"epoch": 1}, file)

    def broken(_, target):
        target.write(b"half a checkpoint")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", broken)
        with pytest.raises(Killed):
            write_checkpoint({"epoch": 2}, file)
    assert read_checkpoint(file) == {"epoch": 1}
    write_checkpoint({"epoch": 2}, file)
    assert read_checkpoint(file) == {"epoch": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pth"]


def test_checkpoints_of_an_earlier_training_are_rename_old_checkpoints(tmp_path):
    for name in CHECKPOINTS[:2]:
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert rename_old_checkpoints(str(tmp_path)) == ["previous_checkpoint_final.pth", "previous_checkpoint_latest.pth"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "previous_checkpoint_final.pth",
        "previous_checkpoint_latest.pth",
    }
    assert rename_old_checkpoints(str(tmp_path)) == []


def test_the_blur_does_not_depend_on_the_clock():
    blur = GaussianBlurTransform(blur_sigma=(0.5, 1.0), benchmark=True)
    fix_blur([RandomTransform(blur, apply_probability=0.5)])
    assert not blur.benchmark
