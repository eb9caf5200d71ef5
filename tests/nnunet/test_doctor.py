"""An installation without fault is "ready"; every fault is named with its remedy, and training that would fail is 1."""

import os
import shutil
import sys
from collections import namedtuple
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from nnunet_paseg import EXT_FOLDER
from nnunet_paseg.cli import main
from nnunet_paseg.nnunet import installation, machine

pytestmark = pytest.mark.filterwarnings("default")  # nnU-Net's search imports all its trainers
FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def sound(tmp_path, monkeypatch):
    """Set up an installation without fault, of which each test breaks one thing."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("nnUNet_extTrainer", str(EXT_FOLDER))
    monkeypatch.delenv("nnUNet_n_proc_DA", raising=False)
    free_gb(monkeypatch)


def free_gb(monkeypatch, **gigabytes):
    """Set the free space of folders by their names; that of all others is 100 GB."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, gigabytes.get(Path(path).name, 100) * 1e9))


def doctor(capsys, *options):
    """Run the command and return its exit status and its output."""
    status = main(["doctor", *(options or ("--device", "cpu"))])
    shown = capsys.readouterr()
    assert shown.err == ""
    return status, shown.out


def test_nothing_but_ready(capsys):
    assert doctor(capsys) == (0, "ready\n")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_variable_is_missing(name, monkeypatch, capsys):
    monkeypatch.delenv(name)
    assert doctor(capsys) == (1, f"{name} is not set: export {name}=FOLDER\n")


def test_a_tilde(monkeypatch, capsys):
    monkeypatch.setenv("nnUNet_results", "~/results")
    status, out = doctor(capsys)
    assert status == 1
    assert "'~/results', and nnU-Net does not expand '~': set it to" in out


def test_a_folder_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "row"))
    status, out = doctor(capsys)
    assert (status, out.count("\n")) == (1, 1)
    assert f"nnUNet_raw is {tmp_path / 'row'}, which is not a folder: mkdir -p {tmp_path / 'row'}" in out


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that root cannot write either")
def test_a_folder_is_read_only(monkeypatch, capsys):
    monkeypatch.setenv("nnUNet_results", "/proc/self")
    status, out = doctor(capsys)
    assert (status, out.count("\n")) == (1, 1)
    assert out.startswith("nnUNet_results is /proc/self, which cannot be written (")
    assert "change its rights, or choose a different folder" in out


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that root cannot write either")
def test_a_training_only_reads_raw_datasets(monkeypatch, capsys):
    monkeypatch.setenv("nnUNet_raw", "/proc/self")
    status, out = doctor(capsys)
    assert status == 0
    assert out.startswith("warning: nnUNet_raw is /proc/self, which cannot be written (")
    assert out.endswith("those in it can be trained\nready\n")


def test_an_old_nnunet(monkeypatch, capsys):
    monkeypatch.setattr(installation, "version", lambda name: "2.4.1")
    status, out = doctor(capsys)
    assert (status, out.count("\n")) == (1, 1)
    assert out.startswith("nnU-Net is version 2.4.1, this package needs <3,>=2.8: pip install ")


def test_no_nnunet(monkeypatch, capsys):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installation, "version", version)
    status, out = doctor(capsys)
    assert status == 1
    assert out == 'nnU-Net is not installed: pip install "nnunetv2<3,>=2.8"\n'


def test_the_trainers_folder_is_not_set(monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_extTrainer")
    status, out = doctor(capsys)
    assert status == 1
    assert out.endswith('does not find the trainers: export nnUNet_extTrainer="$(paseg trainer-dir)"\n')


def test_a_foreign_trainers_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("nnUNet_extTrainer", str(tmp_path))
    status, out = doctor(capsys)
    assert (status, out.count("\n")) == (1, 1)
    assert out.startswith(f"nnUNet_extTrainer is {tmp_path}, without the trainers of this installation ({EXT_FOLDER})")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
            "class PASegStage1Trainer(nnUNetTrainer): pass\n",
            "nnU-Net finds a different PASegStage1Trainer first, in the module theirs: put $(paseg trainer-dir) first",
        ),
        (
            "import a_library_that_is_missing\n",
            "nnU-Net fails while it searches PASegStage1Trainer in nnUNet_extTrainer (ModuleNotFoundError: No module",
        ),
    ],
)
def test_a_foreign_folder_comes_first(tmp_path, monkeypatch, capsys, code, message):
    (tmp_path / "ext").mkdir()
    (tmp_path / "ext" / "theirs.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("nnUNet_extTrainer", os.pathsep.join(map(str, (tmp_path / "ext", EXT_FOLDER))))
    status, out = doctor(capsys)
    assert (status, out.count("\n")) == (1, 1)
    assert out.startswith(message)
    # After the package's own folder, it changes nothing.
    monkeypatch.setenv("nnUNet_extTrainer", os.pathsep.join(map(str, (EXT_FOLDER, tmp_path / "ext"))))
    assert doctor(capsys) == (0, "ready\n")


def test_an_incomplete_installation(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(installation, "EXT_FOLDER", tmp_path / "ext")
    assert doctor(capsys) == (1, f"{tmp_path / 'ext'} is missing: install nnunet-paseg again\n")


@pytest.mark.parametrize("name", ["nnUNet_preprocessed", "nnUNet_results"])
def test_a_full_disk(name, tmp_path, monkeypatch, capsys):
    free_gb(monkeypatch, **{name: 0.2})
    status, out = doctor(capsys)
    assert (status, out.count("\n")) == (1, 1)
    assert out.startswith(f"{name} is {tmp_path / name} with 0.2 GB of free space, one training needs 3 GB: make room")


def test_small_shared_memory(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path)
    free_gb(monkeypatch, **{tmp_path.name: 0.064})
    status, out = doctor(capsys)
    assert (status, out.count("\n")) == (1, 1)
    assert out.startswith(f"{tmp_path} has 0.06 GB of free shared memory, nnU-Net's workers need 1 GB: start the cont")
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    assert doctor(capsys) == (0, "ready\n")


def test_different_builds(monkeypatch, capsys):
    import torchvision

    monkeypatch.setattr(torch, "__version__", "2.9.0+cpu")
    monkeypatch.setattr(torchvision, "__version__", "0.24.0+cu128")
    status, out = doctor(capsys)
    assert status == 0  # they could be imported
    assert out.startswith("warning: torch 2.9.0+cpu and torchvision 0.24.0+cu128 are different builds: install both")


def test_builds_that_cannot_be_imported(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    status, out = doctor(capsys)
    assert (status, out.count("\n")) == (1, 1)
    assert out.startswith("torch and torchvision cannot be imported (ModuleNotFoundError: ")
    assert out.endswith("install both from the same index, or nnunetv2 alone in an empty environment\n")


@pytest.mark.parametrize(
    ("cuda", "message"), [("13.0", "torch finds no GPU: check the driver"), (None, "is built without GPU: install")]
)
def test_no_gpu(monkeypatch, capsys, cuda, message):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, out = doctor(capsys, "--device", "cuda")
    assert (status, out.count("\n")) == (1, 1)
    assert message in out
    assert out.endswith("or train with -device cpu, and pass --device cpu here\n")


def test_a_gpu_that_cannot_compute(monkeypatch, capsys):
    def ones(*_, **__):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(torch, "ones", ones)
    status, out = doctor(capsys)
    assert status == 1
    assert "cannot compute on cpu (RuntimeError: no kernel image is available): end other processes on it" in out


def test_several_faults_are_all_named(monkeypatch, capsys):
    for name in (*FOLDERS, "nnUNet_extTrainer"):
        monkeypatch.delenv(name)
    status, out = doctor(capsys)
    assert (status, out.count("\n")) == (1, 4)
