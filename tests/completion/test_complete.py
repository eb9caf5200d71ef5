import json

import pytest

from nnunet_paseg.cli import main
from tests.trainers.conftest import PLANS


def complete(output, *options, folds=("0", "1")):
    words = ["-d", "902", "-p", PLANS, "-device", "cpu", "-np", "1", "-f", *folds, "-o", str(output), *options]
    return main(["complete", *words])


def test_it_runs(nnunet, tmp_path, capsys):
    status = complete(tmp_path / "masks")
    print(capsys.readouterr())
    assert status == 0
