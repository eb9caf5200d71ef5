import json

import pytest

from nnunet_paseg.cli import main
from nnunet_paseg.demo.demo import Budget, run_demo
from nnunet_paseg.errors import PasegError
from nnunet_paseg.nnunet.workspace import Workspace


@pytest.mark.slow
def test_the_demo_runs_and_runs_again_without_training_again(tmp_path, capsys):
    """A few iterations only: whether stage 2 wins is for the real demo to show."""
    command = ["demo", "--output", str(tmp_path / "demo"), "--epochs", "2", "--iterations", "2"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    for words in (
        "nnUNetv2_plan_and_preprocess -d 901",
        "-tr PASegStage1AuxTrainer_2epochs_2iterations",
        "nnUNetv2_predict",
    ):
        assert words in printed
    scores = json.loads((tmp_path / "demo" / "scores.json").read_text(encoding="utf-8"))
    assert list(scores) == ["seeds", "stage1", "stage2"]
    assert all(0 <= value <= 1 for value in scores.values())
    assert (tmp_path / "demo" / "demo.png").stat().st_size > 10_000
    assert main(command) == 0
    assert "nnUNetv2" not in capsys.readouterr().out


def test_a_demo_of_another_length_is_not_mixed_in(tmp_path):
    (tmp_path / "budget.txt").write_text("_9epochs_9iterations", encoding="utf-8")
    with pytest.raises(
        PasegError, match=r"contains a demo of a different length \(_9epochs_9iterations\): pass a different --output"
    ):
        run_demo(Workspace(tmp_path), Budget())
