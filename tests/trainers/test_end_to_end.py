"""nnU-Net's own commands, typed as a user types them: both stages, a kill in the middle, prediction."""

import os
import shlex
import signal
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from nnunet_paseg.evaluation.evaluate import evaluate_folder
from nnunet_paseg.io.images import read_array
from tests.trainers.conftest import DATASET, PLANS

# What these libraries warn of is no part of the test, as in a process of its own.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

SHORT = "_4epochs_2iterations"

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def shell(workspace):
    """Run a command line in nnU-Net's environment; returns its output."""
    environment = {**os.environ, **workspace.environment(), "PYTHONUNBUFFERED": "1"}

    def run(line, *, check=True):
        result = subprocess.run(
            shlex.split(line), env=environment, capture_output=True, text=True, check=False, encoding="utf-8"
        )
        if check:
            assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result

    run.environment = environment
    return run


def folder_of(workspace, trainer):
    return workspace.results / DATASET / f"{trainer}__{PLANS}__3d_fullres" / "fold_0"


def train(trainer, device="cpu"):
    return f"nnUNetv2_train 902 3d_fullres 0 -tr {trainer} -p {PLANS} -device {device}"


def test_stage_2_before_stage_1_says_what_to_do(shell):
    result = shell(train(f"PASegStage2Trainer{SHORT}"), check=False)
    assert result.returncode != 0
    assert (
        f"nnUNetv2_train {DATASET} 3d_fullres 0 -tr PASegStage1Trainer{SHORT} -p {PLANS} -device cpu" in result.stderr
    )


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_both_stages_a_kill_and_a_prediction(shell, workspace, tmp_path, device):
    short = SHORT if device == "cpu" else "_4epochs_3iterations"  # trainings of its own
    workspace = replace(workspace, device=device)
    workspace.train(DATASET, "PASegStage1AuxTrainer" + short, plans=PLANS, fold=0)
    shell(train("PASegStage1Trainer" + short, device))
    for stage in ("PASegStage1Trainer", "PASegStage1AuxTrainer"):
        [log] = folder_of(workspace, stage + short).glob("training_log_*.txt")
        output = log.read_text(encoding="utf-8")
        assert "'mcrf'" in output
        assert "Mean Validation Dice" in output
        assert not (folder_of(workspace, stage + short) / "checkpoint_best.pth").exists(), "chosen by seeds"
    # Killed after its first checkpoint, stage 2 goes on from there and does not start again.
    stage2 = f"PASegStage2Trainer{short}"
    process = subprocess.Popen(
        shlex.split(train(stage2, device)), env=shell.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    checkpoint = folder_of(workspace, stage2) / "checkpoint_latest.pth"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    assert not (checkpoint.parent / "checkpoint_final.pth").exists()
    epoch = torch.load(checkpoint, weights_only=False)["current_epoch"]
    output = shell(f"{train(stage2, device)} --c").stdout
    assert f"Epoch {epoch}" in output
    assert "Epoch 0" not in output
    assert "Starting from" not in output

    final = torch.load(folder_of(workspace, stage2) / "checkpoint_final.pth", weights_only=False)
    assert final["trainer_name"] == stage2
    assert final["paseg"]["hyper_parameters"]["temperature"] == 4.0

    images = workspace.raw / DATASET / "imagesTs"
    shell(
        f"nnUNetv2_predict -i {images} -o {tmp_path} -d 902 -c 3d_fullres -f 0 -tr {stage2} -p {PLANS} "
        f"-device {device} -npp 1 -nps 1"
    )
    rows = evaluate_folder(tmp_path, workspace.raw / DATASET / "labelsTs")
    assert len(rows) == 2 * 2
    assert all(0 <= row.dice <= 1 for row in rows)
    for file in tmp_path.glob("*.nii.gz"):
        assert set(np.unique(read_array(file))) <= {0, 1, 2}, "the ignore label was predicted"
