"""nnU-Net's variables: a folder, or not set; "~" is refused, since nnU-Net does not expand it."""

from pathlib import Path

import pytest

from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.nnunet_folders import nnunet_folder


@pytest.mark.parametrize("variable", ["nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"])
def test_a_tilde_is_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv(variable, "~/data")
    with pytest.raises(PasegError, match=f"{variable} is '~/data', .* set it to /home/somebody/data"):
        nnunet_folder(variable)
    monkeypatch.setenv(variable, "~other/data")
    with pytest.raises(PasegError, match="set it to the full path"):
        nnunet_folder(variable)


def test_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_raw", "/data/a~b")
    assert nnunet_folder("nnUNet_raw") == Path("/data/a~b")
    monkeypatch.setenv("nnUNet_raw", "")
    assert nnunet_folder("nnUNet_raw") is None
    monkeypatch.delenv("nnUNet_raw")
    assert nnunet_folder("nnUNet_raw") is None


def test_conversion_commands_read_the_variable_by_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("nnUNet_raw", "~/data")
    for name in ("images", "points"):
        (tmp_path / name).mkdir()
        (tmp_path / name / {"images": "a.nii.gz", "points": "a.csv"}[name]).touch()
    assert main(["convert", "folder", str(tmp_path / "images"), str(tmp_path / "points"), "101"]) == 2
    assert "nnUNet_raw is '~/data', and nnU-Net does not expand '~'" in capsys.readouterr().err
