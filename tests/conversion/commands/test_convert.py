"""`paseg convert SOURCE` and the script of that source are one and the same command."""

import re
import shlex

import pytest

from nnunet_paseg.cli import build_parser
from nnunet_paseg.cli import main as paseg
from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.conversion.commands.convert import SOURCES
from tests.conftest import ROOT, load_script
from tests.conversion.test_convert import contents

SCRIPTS = {
    "folder": "from_folder",
    "paseg-points": "from_paseg_points",
    "dense": "from_dense_dataset",
    "decathlon": "from_decathlon",
    "brats": "from_brats",
    "vs": "from_vs",
}


def by_script(source, *arguments):
    script = load_script(SCRIPTS[source])
    return run(script.main, script.build_parser(), [*map(str, arguments)])


def test_every_source_has_a_script():
    assert SCRIPTS.keys() == SOURCES.keys()
    assert {f"{name}.py" for name in SCRIPTS.values()} == {p.name for p in (ROOT / "dataset_conversion").iterdir()} - {
        "__pycache__"
    }


@pytest.mark.parametrize("source", SOURCES)
def test_help_is_that_of_the_script(source, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as stop:
        paseg(["convert", source, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    parser = load_script(SCRIPTS[source]).build_parser()
    parser.prog = f"paseg convert {source}"
    assert shown == parser.format_help()
    # Its example is a command that it understands.
    [example] = re.findall(rf"^ +paseg (convert {source} .*)$", re.sub(r"\\\n\s+", "", shown), flags=re.MULTILINE)
    assert 0 < build_parser().parse_args(shlex.split(example)).dataset_id < 1000


def test_both_write_the_same_dataset(dense_dataset, tmp_path, capsys):
    arguments = (dense_dataset, 7, "--num-processes", 1, "--num-train", 1, "--raw")
    assert paseg(["convert", "dense", *map(str, arguments), str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a' / 'Dataset007_Tiny'}\n"
    assert by_script("dense", *arguments, tmp_path / "b") == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("source", SOURCES)
def test_both_refuse_the_same(source, tmp_path, capsys):
    arguments = [*([tmp_path / "gone"] * (2 if source in ("folder", "paseg-points") else 1)), 7]
    assert paseg(["convert", source, *map(str, arguments)]) == 2
    message = capsys.readouterr().err
    assert str(tmp_path / "gone") in message
    assert by_script(source, *arguments) == 2
    assert f"paseg: {capsys.readouterr().err}" == message


def test_arguments_that_do_not_exist(capsys):
    for arguments in (["convert"], ["convert", "nothing"], ["convert", "dense"], ["convert", "dense", "a", "1", "--x"]):
        with pytest.raises(SystemExit) as stop:
            paseg(arguments)
        assert stop.value.code == 2
        assert "error: " in capsys.readouterr().err
