"""The list of trainers: names that nnU-Net accepts, and the suffixes that their parser knows."""

import re

from nnunet_paseg.cli import main
from nnunet_paseg.trainers.names import SUFFIXES, parse
from nnunet_paseg.trainers.variants import TRAINERS, trainer_class
from tests.conftest import ROOT


def test_every_trainer_has_a_line(capsys):
    assert main(["trainers"]) == 0
    names, _, suffixes = capsys.readouterr().out.partition("\n\nsuffixes:\n")
    assert [line.split()[0] for line in names.splitlines()] == list(TRAINERS)
    assert all(re.fullmatch(r"\w+ {2,}\S.{10,}", line) for line in names.splitlines())
    for name in (line.split()[0] for line in names.splitlines()):
        assert trainer_class(name).__name__ == name
    assert [line.split()[0] for line in suffixes.splitlines()] == list(SUFFIXES)


def test_every_suffix_is_understood_and_described():
    page = (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
    for suffix in SUFFIXES:
        trainer = "nnUNetTrainer" if suffix == "_prior" else "PASegStage1Trainer"
        assert parse(f"{trainer}{re.sub('{.}', '7', suffix)}") != parse(trainer)
        assert f"| `{suffix}` |" in page
