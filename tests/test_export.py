import zipfile

import pytest
import torch

from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.export import export_model


@pytest.fixture
def model(tmp_path):
    """What a finished training leaves behind, with a checkpoint of three numbers."""
    folder = tmp_path / "results" / "Dataset001_X" / "PASegStage2Trainer__nnUNetPlans__3d_fullres"
    (folder / "fold_0" / "validation").mkdir(parents=True)
    for name in ("plans.json", "dataset.json", "dataset_fingerprint.json", "fold_0/validation/summary.json"):
        (folder / name).write_text("{}")
    (folder / "fold_0" / "progress.png").write_bytes(b"picture")
    checkpoint = {
        "network_weights": {"weight": torch.arange(3.0)},
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": (0, 1, 2),
        "current_epoch": 5,
        "trainer_name": "PASegStage2Trainer",
        "optimizer_state": {},
        "paseg": {"auxiliary_weights": {}},
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder


def test_the_zip_holds_a_stock_model(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    assert main(["export", "-d", "Dataset001_X", "-f", "0", "-o", str(tmp_path / "x.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "x.zip") as file:
        file.extractall(tmp_path / "installed")
    stock = tmp_path / "installed" / "Dataset001_X" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    checkpoint = torch.load(stock / "fold_0" / "checkpoint_final.pth", weights_only=True)
    assert checkpoint["trainer_name"] == "nnUNetTrainer"
    assert checkpoint["network_weights"]["weight"].tolist() == [0, 1, 2]
    assert not {"paseg", "optimizer_state"} & checkpoint.keys()
    assert (stock / "plans.json").is_file()
    assert main(["export", "-d", "Dataset001_X", "-f", "0", "-o", str(tmp_path / "x.zip")]) == 2
    assert "x.zip exists already: choose another name, or pass --overwrite" in capsys.readouterr().err


def test_what_is_not_finished_is_refused(model, tmp_path):
    with pytest.raises(
        PasegError, match=r"Fold 1 is not trained to its end(?s:.*)nnUNetv2_train Dataset001_X 3d_fullres 1 -tr"
    ):
        export_model(model, tmp_path / "x.zip", ["0", "1"])
    (model / "fold_0" / "validation" / "summary.json").unlink()
    with pytest.raises(PasegError, match=r"Fold 0 is not validated(?s:.*)-p nnUNetPlans --val"):
        export_model(model, tmp_path / "x.zip", ["0"])
    assert not (tmp_path / "x.zip").exists()


def test_the_auxiliary_network_is_refused(tmp_path):
    folder = tmp_path / "Dataset001_X" / "PASegStage1AuxTrainer__nnUNetPlans__3d_fullres"
    with pytest.raises(PasegError, match="PASegStage1AuxTrainer trains another architecture than the plans name"):
        export_model(folder, tmp_path / "x.zip", ["0"])


def test_results_folder_must_be_known(monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_results", raising=False)
    assert main(["export", "-d", "1", "-o", "x.zip"]) == 2
    assert "Set the environment variable nnUNet_results" in capsys.readouterr().err
