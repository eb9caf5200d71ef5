"""Exported models in an nnU-Net that has never heard of this package: installed, run and averaged by its own commands.

The commands run in processes in which ``nnunet_paseg`` cannot be imported, with empty folders and no
``nnUNet_extTrainer``. Their predictions are those of the trained model where the package is there. The models are those
that test_end_to_end.py leaves behind; where it did not run before, they are trained here.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from nnunet_paseg.cli import main
from nnunet_paseg.io.images import read_array
from nnunet_paseg.trainers import PASegStage1AuxTrainer
from tests.trainers.conftest import DATASET, PLANS
from tests.trainers.test_end_to_end import SHORT

# What these libraries warn of is no part of the test, as in a process of its own.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

HIDE = """
import sys

class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "nnunet_paseg":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Hidden)
"""


class StockInstall:
    """An nnU-Net with empty folders and without this package."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "python").mkdir(parents=True)
        # Python imports it when it starts, in the processes that nnU-Net starts too.
        (folder / "python" / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("nnUNet_")}
        self.environment |= {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment |= {"PATH": path, "PYTHONPATH": str(folder / "python"), "nnUNet_def_n_proc": "1"}
        result = self.run(f"{shlex.quote(sys.executable)} -c 'import nnunet_paseg'", check=False)
        assert "No module named 'nnunet_paseg'" in result.stderr

    def run(self, line, *, check=True):
        command = shlex.split(line)
        result = subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            encoding="utf-8",
        )
        if check:
            assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result


@pytest.fixture
def stock(tmp_path):
    return StockInstall(tmp_path / "stock")


@pytest.fixture(scope="module")
def models(workspace):
    """The model of every trainer, by its name without variant."""
    names = ("PASegStage1Trainer", "PASegStage1AuxTrainer", "PASegStage2Trainer")
    return {name: workspace.train(DATASET, name + SHORT, plans=PLANS, fold=0) for name in names}


@pytest.fixture
def export_and_predict(models, workspace, stock, tmp_path, monkeypatch, capsys):
    """Export, then do in the stock nnU-Net what ``paseg export`` says; returns the folder of the predictions."""
    images = workspace.raw / DATASET / "imagesTs"

    def export_and_predict(trainer, network):
        monkeypatch.setenv("nnUNet_results", str(workspace.results))
        file, output = tmp_path / f"{network}.zip", tmp_path / f"stock_{network}"
        options = ["-d", DATASET, "-tr", trainer + SHORT, "-p", PLANS, "-f", "0", "--network", network]
        capsys.readouterr()
        assert main(["export", *options, "-o", str(file)]) == 0
        install, predict = capsys.readouterr().out.splitlines()[-2:]
        stock.run(install)
        predict = predict.replace("-i IN", f"-i {images}").replace("-o OUT", f"-o {output}")
        stock.run(f"{predict} --save_probabilities -device cpu -npp 0 -nps 0")
        return output

    return export_and_predict


@pytest.fixture
def predict_here(models, workspace, tmp_path, monkeypatch):
    """Predict with the trained model, with this package; returns the folder of the predictions."""
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count())  # as nnUNetv2_predict does

    def predict_here(trainer, network):
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(models[trainer]), (0,))
        assert predictor.trainer_name == trainer + SHORT
        if network == "auxiliary":
            arguments = predictor.plans_manager, predictor.configuration_manager, 1, 3, False
            predictor.network = PASegStage1AuxTrainer.build_network_architecture(*arguments)
            checkpoint = torch.load(models[trainer] / "fold_0" / "checkpoint_final.pth", weights_only=False)
            predictor.list_of_parameters = [checkpoint["paseg"]["auxiliary_weights"]]
        output = tmp_path / f"here_{network}"
        output.mkdir()
        images = str(workspace.raw / DATASET / "imagesTs")
        predictor.predict_from_files_sequential(images, str(output), save_probabilities=True)
        return output

    yield predict_here
    torch.set_num_threads(threads)


def probabilities(folder):
    return {file.stem: np.load(file)["probabilities"] for file in sorted(folder.glob("*.npz"))}


def assert_same_predictions(stock, here):
    files = sorted(file.name for file in here.glob("*.nii.gz"))
    assert len(files) == 2
    assert files == sorted(file.name for file in stock.glob("*.nii.gz"))
    for name in files:
        np.testing.assert_array_equal(read_array(stock / name), read_array(here / name))
    # The labels of networks that are hardly trained say little.
    ours = probabilities(here)
    for name, theirs in probabilities(stock).items():
        assert theirs.shape[0] == 3
        np.testing.assert_allclose(theirs, ours[name], rtol=0, atol=1e-5)


def test_stage_1(export_and_predict, predict_here):
    trainer = "PASegStage1Trainer"
    assert_same_predictions(export_and_predict(trainer, "primary"), predict_here(trainer, "primary"))


def test_both_networks_of_stage_2_side_by_side_and_their_average(export_and_predict, predict_here, stock, tmp_path):
    folders = {}
    for network in ("primary", "auxiliary"):
        folders[network] = export_and_predict("PASegStage2Trainer", network)
        assert_same_predictions(folders[network], predict_here("PASegStage2Trainer", network))
    installed = {folder.name for folder in (stock.folder / "results" / DATASET).iterdir()}
    assert installed == {f"nnUNetTrainer__{PLANS}{suffix}__3d_fullres" for suffix in ("", "Aux")}
    primary, auxiliary = probabilities(folders["primary"]), probabilities(folders["auxiliary"])
    average = tmp_path / "average"
    stock.run(f"nnUNetv2_ensemble -i {folders['primary']} {folders['auxiliary']} -o {average} -np 1")
    for name in primary:
        assert np.abs(primary[name] - auxiliary[name]).max() > 0.01, "the same network twice"
        expected = ((primary[name] + auxiliary[name]) / 2).argmax(axis=0)
        np.testing.assert_array_equal(read_array(average / f"{name}.nii.gz"), expected)
