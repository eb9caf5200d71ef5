"""The command line itself: help, errors, lazy imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnunet_paseg import __version__
from nnunet_paseg.cli import COMMANDS, build_parser, main

NAMES = ["trainer-dir", *(module.__name__.rsplit(".", 1)[1].replace("_", "-") for module in COMMANDS)]


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in NAMES)])
def test_every_help_has_an_example(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    assert "example: " in capsys.readouterr().out


def test_trainer_dir(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trainer-dir"]) == 0
    folder = Path(capsys.readouterr().out.rstrip("\n"))
    assert folder.is_absolute()
    assert folder.is_dir()
    assert (folder.parent.name, folder.name) == ("nnunet_paseg", "ext")


def test_incomplete_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nnunet_paseg.cli.EXT_FOLDER", tmp_path / "ext")
    assert main(["trainer-dir"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""  # it would end up in nnUNet_extTrainer
    assert shown.err.startswith(f"paseg: error: {tmp_path / 'ext'}: missing from this installation")


def test_input_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "-p", str(tmp_path / "p"), "-r", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"paseg: error: {tmp_path / 'p'}: no such folder: check the path.\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--version"])
    assert capsys.readouterr().out == f"paseg {__version__}\n"


def test_a_command_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_parser_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'nnunetv2', 'SimpleITK', 'matplotlib', 'pandas'}"
    code = f"import sys; from nnunet_paseg.cli import build_parser; build_parser(); print({heavy} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        encoding="utf-8",
    )
    assert run.stdout == "set()\n"
