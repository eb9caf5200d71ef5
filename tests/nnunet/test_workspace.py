import json
import sys

import pytest

from nnunet_paseg.errors import PasegError
from nnunet_paseg.nnunet.workspace import Workspace


def test_a_command_is_printed_and_its_output_kept(tmp_path, capsys):
    workspace = Workspace(tmp_path)
    workspace.run(sys.executable, "-c", "import os; print(os.environ['nnUNet_raw'])")
    assert capsys.readouterr().out.startswith(f"$ {sys.executable} -c ")
    (log,) = (tmp_path / "logs").iterdir()
    assert log.read_text(encoding="utf-8").strip() == str(tmp_path / "nnUNet_raw")


def test_a_command_that_fails_shows_the_end_of_its_output(tmp_path):
    with pytest.raises(PasegError, match=r"(?s)ended with status 3; its output is in .*logs.*ends with:.*last words"):
        Workspace(tmp_path).run(sys.executable, "-c", "print('last words'); raise SystemExit(3)")


def test_finished_work_is_not_done_again(tmp_path):
    workspace = Workspace(tmp_path)
    model = tmp_path / "nnUNet_results" / "Dataset001_X" / "T__P__3d_fullres"
    (model / "fold_all").mkdir(parents=True)
    (model / "fold_all" / "checkpoint_final.pth").touch()
    assert workspace.train("Dataset001_X", "T", plans="P") == model
    (tmp_path / "out").mkdir()
    assert workspace.predict("Dataset001_X", "T", tmp_path / "out") == tmp_path / "out"
    assert not (tmp_path / "logs").exists()


def test_small_plans_share_everything_but_the_network(tmp_path):
    folder = tmp_path / "nnUNet_preprocessed" / "Dataset001_X"
    folder.mkdir(parents=True)
    network = {"arch_kwargs": {"n_stages": 7, "features_per_stage": [32, 64, 128, 256, 320, 320, 320]}}
    full = {"architecture": network, "batch_size": 9, "patch_size": [40, 56, 40], "data_identifier": "nnUNetPlans_3d"}
    lowres = {"inherits_from": "3d_fullres"}
    plans = {"plans_name": "nnUNetPlans", "configurations": {"3d_fullres": full, "3d_cascade_fullres": lowres}}
    (folder / "nnUNetPlans.json").write_text(json.dumps(plans), encoding="utf-8")
    Workspace(tmp_path).small_plans("Dataset001_X", "small", features=8)
    small = json.loads((folder / "small.json").read_text(encoding="utf-8"))
    assert small["plans_name"] == "small"
    assert small["configurations"]["3d_cascade_fullres"] == lowres
    configuration = small["configurations"]["3d_fullres"]
    assert configuration["architecture"]["arch_kwargs"]["features_per_stage"] == [8, 16, 32, 64, 128, 256, 320]
    assert (configuration["batch_size"], configuration["patch_size"]) == (2, [40, 56, 40])
    assert configuration["data_identifier"] == "nnUNetPlans_3d"
    assert json.loads((folder / "nnUNetPlans.json").read_text(encoding="utf-8")) == plans
