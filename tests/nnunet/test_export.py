import json
import zipfile

import pytest
import torch
from matplotlib.image import imread
from nnunetv2.training.logging.nnunet_logger import LocalLogger
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.nnunet.export import export_model, find_dataset
from nnunet_paseg.trainers import PASegStage1AuxTrainer
from nnunet_paseg.trainers.architectures import PLAIN, RESIDUAL

ARCHITECTURE = {
    "network_class_name": PLAIN,
    "arch_kwargs": {
        "n_stages": 2,
        "features_per_stage": [2, 4],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage": [2, 2],
        "n_conv_per_stage_decoder": [2],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}
PLANS = {"plans_name": "nnUNetPlans", "configurations": {"3d_fullres": {"architecture": ARCHITECTURE}}}
DATASET = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "lesion": 1, "ignore": 2}}


def network(trainer, plans=PLANS):
    manager = PlansManager(plans)
    return trainer.build_network_architecture(manager, manager.get_configuration("3d_fullres"), 1, 2, False)


@pytest.fixture
def make_model(tmp_path, monkeypatch):
    """What a finished training leaves behind."""
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))

    def make(trainer="PASegStage2Trainer", primary=nnUNetTrainer, extra=None):
        folder = tmp_path / "results" / "Dataset001_X" / f"{trainer}__nnUNetPlans__3d_fullres"
        (folder / "fold_0" / "validation").mkdir(parents=True)
        (folder / "plans.json").write_text(json.dumps(PLANS), encoding="utf-8")
        (folder / "dataset.json").write_text(json.dumps(DATASET), encoding="utf-8")
        (folder / "dataset_fingerprint.json").write_text("{}", encoding="utf-8")
        (folder / "fold_0" / "validation" / "summary.json").write_text(
            '{"foreground_mean": {"Dice": 0.5}}', encoding="utf-8"
        )
        (folder / "fold_0" / "progress.png").write_bytes(b"picture")
        checkpoint = {
            "network_weights": network(primary).state_dict(),
            "init_args": {"configuration": "3d_fullres", "plans": PLANS},
            "inference_allowed_mirroring_axes": (0, 1, 2),
            "current_epoch": 5,
            "trainer_name": trainer,
            "optimizer_state": {},
            "paseg": extra or {},
        }
        torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
        return folder

    return make


@pytest.fixture
def model(make_model):
    return make_model(extra={"auxiliary_weights": network(PASegStage1AuxTrainer).state_dict()})


def exported(tmp_path, *options):
    """Run ``paseg export``; returns the model's folder in the unpacked zip, and its checkpoint."""
    file = tmp_path / "x.zip"
    assert main(["export", "-d", "Dataset001_X", "-f", "0", "-o", str(file), "--overwrite", *options]) == 0
    with zipfile.ZipFile(file) as content:
        content.extractall(tmp_path / "installed")
        folder = tmp_path / "installed" / "/".join(content.namelist()[0].split("/")[:2])
    return folder, torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=True)


def same(weights, others):
    return weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)


def checkpoint_of(model):
    return torch.load(model / "fold_0" / "checkpoint_final.pth", weights_only=True)


def test_the_zip_holds_a_stock_model(model, tmp_path, capsys):
    folder, checkpoint = exported(tmp_path)
    assert (
        folder.relative_to(tmp_path / "installed").as_posix() == "Dataset001_X/nnUNetTrainer__nnUNetPlans__3d_fullres"
    )
    assert "nnUNetv2_predict -i IN -o OUT -d Dataset001_X -c 3d_fullres -f 0 -tr nnUNetTrainer -p nnUNetPlans\n" in (
        capsys.readouterr().out
    )
    assert checkpoint["trainer_name"] == "nnUNetTrainer"
    assert same(checkpoint["network_weights"], checkpoint_of(model)["network_weights"])
    assert not {"paseg", "optimizer_state"} & checkpoint.keys()
    assert json.loads((folder / "plans.json").read_text(encoding="utf-8")) == PLANS
    assert "0.5" in (folder / "fold_0" / "validation" / "summary.json").read_text(encoding="utf-8")
    assert main(["export", "-d", "Dataset001_X", "-f", "0", "-o", str(tmp_path / "x.zip")]) == 2
    assert "x.zip exists already: choose another name, or pass --overwrite" in capsys.readouterr().err


def test_the_zip_is_a_model_path_of_the_extension_of_3d_slicer(model, tmp_path):
    """SlicerNNUNet takes the first dataset.json below the path, and all names from the folders above it."""
    exported(tmp_path)
    (file,) = (tmp_path / "installed").rglob("dataset.json")
    assert file.parent.name.split("__") == ["nnUNetTrainer", "nnUNetPlans", "3d_fullres"]
    assert (file.parent / "fold_0" / "checkpoint_final.pth").is_file()
    assert file.parents[1].name == "Dataset001_X"
    assert json.loads(file.read_text(encoding="utf-8"))["labels"]


def test_the_auxiliary_network_has_plans_of_its_own(model, tmp_path, capsys):
    folder, checkpoint = exported(tmp_path, "--network", "auxiliary")
    assert folder.name == "nnUNetTrainer__nnUNetPlansAux__3d_fullres"
    assert "-p nnUNetPlansAux" in capsys.readouterr().out
    weights = checkpoint_of(model)["paseg"]["auxiliary_weights"]
    assert same(checkpoint["network_weights"], weights)
    # What a stock nnU-Net builds from these plans takes the weights.
    plans = json.loads((folder / "plans.json").read_text(encoding="utf-8"))
    assert checkpoint["init_args"]["plans"] == plans
    assert plans["plans_name"] == "nnUNetPlansAux"
    assert plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] == RESIDUAL
    network(nnUNetTrainer, plans).load_state_dict(weights)
    # nnU-Net validated the other network.
    assert "not validated" in (folder / "fold_0" / "validation" / "summary.json").read_text(encoding="utf-8")


def test_the_auxiliary_network_of_stage_1(make_model, tmp_path):
    model = make_model("PASegStage1AuxTrainer", PASegStage1AuxTrainer)
    folder, checkpoint = exported(tmp_path, "-tr", "PASegStage1AuxTrainer")
    assert folder.name == "nnUNetTrainer__nnUNetPlansAux__3d_fullres"
    assert same(checkpoint["network_weights"], checkpoint_of(model)["network_weights"])
    assert "0.5" in (folder / "fold_0" / "validation" / "summary.json").read_text(encoding="utf-8")


def test_stage_1_has_one_network(make_model, tmp_path):
    folder = make_model("PASegStage1Trainer")
    with pytest.raises(PasegError, match=r"checkpoint_final\.pth contains one network: leave out --network"):
        export_model(folder, tmp_path / "x.zip", ["0"], network="auxiliary")
    assert not (tmp_path / "x.zip").exists()


def test_a_network_that_the_plans_do_not_describe_is_refused(model, tmp_path):
    plans = json.loads((model / "plans.json").read_text(encoding="utf-8"))
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"] = [2, 8]
    (model / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    with pytest.raises(PasegError, match="contains a network of a different architecture than its plans"):
        export_model(model, tmp_path / "x.zip", ["0"])
    assert not (tmp_path / "x.zip").exists()


def test_what_is_not_finished_is_refused(model, tmp_path):
    with pytest.raises(
        PasegError, match=r"Training of fold 1 is not finished(?s:.*)nnUNetv2_train Dataset001_X 3d_fullres 1 -tr"
    ):
        export_model(model, tmp_path / "x.zip", ["0", "1"])
    (model / "fold_0" / "validation" / "summary.json").unlink()
    with pytest.raises(PasegError, match=r"Fold 0 is not validated(?s:.*)-p nnUNetPlans --val"):
        export_model(model, tmp_path / "x.zip", ["0"])
    assert not (tmp_path / "x.zip").exists()


def test_a_picture_that_is_missing_is_drawn(model, tmp_path):
    """Validating again would not bring it back: nnU-Net draws it at the end of an epoch."""
    file = model / "fold_0" / "progress.png"
    file.unlink()
    with pytest.raises(
        PasegError, match=r"progress\.png is missing, and checkpoint_final\.pth contains no log to draw it"
    ):
        export_model(model, tmp_path / "x.zip", ["0"])
    assert not (tmp_path / "x.zip").exists()
    log = {key: [0.5, 0.25] for key in LocalLogger().get_checkpoint()}
    torch.save(
        {**checkpoint_of(model), "logging": {**log, "paseg/mcrf": [0.1, 0.2]}}, file.with_name("checkpoint_final.pth")
    )
    folder, checkpoint = exported(tmp_path)
    assert imread(folder / "fold_0" / "progress.png").std() > 0
    assert "logging" not in checkpoint
    assert not file.exists()


def test_datasets_are_found_by_number_or_name(model, tmp_path, capsys):
    results = model.parents[1]
    (results / "Dataset101_Tumor").mkdir()
    (results / "Datasets_of_others").mkdir()
    assert [find_dataset(name) for name in ("1", "001")] == ["Dataset001_X"] * 2
    assert [find_dataset(name) for name in ("101", "Dataset101_Tumor")] == ["Dataset101_Tumor"] * 2
    for name in ("999", "Tumor", "Dataset999_Tumor"):
        assert main(["export", "-d", name, "-o", str(tmp_path / "x.zip")]) == 2
        shown = capsys.readouterr().err
        assert shown.startswith(
            f"paseg: error: {name} matches none of the datasets in {results}: pass the number or the "
        )
        assert shown.endswith("Existing datasets: Dataset001_X, Dataset101_Tumor.\n")
    (results / "Dataset101_Other").mkdir()
    with pytest.raises(PasegError, match=r"101 matches 2 of the datasets in .*Dataset101_Other, Dataset101_Tumor\."):
        find_dataset("101")


def test_the_zips_folder_must_be_there(model, tmp_path, capsys):
    assert main(["export", "-d", "Dataset001_X", "-f", "0", "-o", str(tmp_path / "missing" / "x.zip")]) == 2
    assert "missing does not exist: create it first" in capsys.readouterr().err


def test_results_folder_must_be_known(monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_results", raising=False)
    assert main(["export", "-d", "1", "-o", "x.zip"]) == 2
    assert "No results folder: set the environment variable nnUNet_results" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "dataset_fingerprint.json"])
@pytest.mark.parametrize(
    ("content", "message"), [(None, "is missing: copy it from"), ("{", "is damaged"), ("[]", "is not a JSON object")]
)
def test_files_of_the_model_that_are_missing_or_damaged(model, tmp_path, capsys, name, content, message):
    (model / name).unlink()
    if content is not None:
        (model / name).write_text(content, encoding="utf-8")
    assert main(["export", "-d", "1", "-f", "0", "-o", str(tmp_path / "x.zip")]) == 2
    assert f"{model / name} {message}" in capsys.readouterr().err
    assert not (tmp_path / "x.zip").exists()


def test_what_is_no_fold_or_no_checkpoint_is_named(model, tmp_path, capsys):
    assert main(["export", "-d", "1", "-f", "first", "-o", str(tmp_path / "x.zip")]) == 2
    assert "'first' is not a fold: pass numbers, or all." in capsys.readouterr().err
    torch.save({"network_weights": {}}, model / "fold_0" / "checkpoint_final.pth")
    assert main(["export", "-d", "1", "-f", "0", "-o", str(tmp_path / "x.zip")]) == 2
    assert "checkpoint_final.pth has no init_args, inference_allowed_mirroring_axes" in capsys.readouterr().err


def test_a_tilde_in_the_results_folder_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("nnUNet_results", "~/results")
    assert main(["export", "-d", "1", "-o", "x.zip"]) == 2
    assert "nnUNet_results is '~/results', and nnU-Net does not expand '~'" in capsys.readouterr().err
