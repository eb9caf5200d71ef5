import csv
import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_paseg.completion.dataset import ClickedDataset
from nnunet_paseg.completion.targets import read_targets
from nnunet_paseg.io.images import read_array
from tests.completion.conftest import complete
from tests.io.test_json_output import documented
from tests.trainers.conftest import DATASET, PLANS

STAGE1 = {"trainer": "PASegStage1Trainer", "folds": (0,)}


def cases_of(raw, folds=("0", "1")):
    dataset = ClickedDataset.open(raw.name, needs_splits=True)
    assert dataset.folder == raw
    return dataset, dataset.cases(folds)


def table(folder):
    with (folder / "confidence.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def states(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.n*z*")}


def test_the_masks_agree_with_the_clicks_on_the_grid_of_the_image(nnunet, completed):
    dataset, cases = cases_of(nnunet)
    assert len(cases) == 8
    for case in cases:
        grid, _, targets = read_targets(case, dataset.labels)
        image = sitk.ReadImage(str(completed / f"{case.identifier}.nii.gz"))
        assert grid.same_as(type(grid).from_image(image))
        mask = sitk.GetArrayFromImage(image)
        for target in targets:
            assert (mask[tuple(target.foreground.T)] == target.label).all()
            assert (mask[tuple(target.background.T)] == 0).all()
        for label in dataset.labels.values():
            outside = mask == label
            for target in targets:
                outside[target.box] &= target.label != label
            assert not outside.any()
        assert set(np.unique(mask)) == {0, *dataset.labels.values()}


def test_the_table_names_folds_and_is_sorted_worst_first(completed):
    rows = table(completed)
    assert {row["case"]: (row["trained_on"], row["folds"]) for row in rows} == {
        **{f"case_00{number}": ("no", str(number // 2)) for number in range(4)},
        **{f"case_00{number}": ("yes", "0 1") for number in range(4, 8)},
    }
    confidence = [float(row["confidence"]) for row in rows]
    assert confidence == sorted(confidence)
    for row in rows:
        record = json.loads((completed / "records" / f"{row['case']}.json").read_text(encoding="utf-8"))
        assert float(row["confidence"]) == min(target["confidence"] for target in record["targets"])
    assert (completed / "contact_sheet.png").is_file()


def test_cases_that_were_trained_on_have_weights_of_their_own(completed):
    weights = {}
    for row in table(completed):
        record = json.loads((completed / "records" / f"{row['case']}.json").read_text(encoding="utf-8"))
        weights.setdefault(row["trained_on"], []).append(record["weights"])
    for group in weights.values():
        assert all(each == group[0] for each in group)
        for of_class in group[0].values():
            assert sum(source["weight"] for source in of_class.values()) == pytest.approx(1)
    assert weights["yes"][0] != weights["no"][0]


def test_the_same_command_resumes(nnunet, completed, tmp_path, monkeypatch):
    folder = shutil.copytree(completed, tmp_path / "masks")
    (folder / "case_003.nii.gz").unlink()
    before = states(folder)
    monkeypatch.setattr("nnunet_paseg.completion.network_source.Networks", None)  # not needed
    assert complete(folder) == 0
    after = states(folder)
    redone = folder / "records" / "case_003.npz"
    assert {path for path in before if before[path] != after[path]} == {redone}
    assert np.array_equal(read_array(folder / "case_003.nii.gz"), read_array(completed / "case_003.nii.gz"))


def test_corrected_points_make_their_case_again(own_raw, tmp_path, capsys):
    folder = tmp_path / "masks"
    assert complete(folder, **STAGE1) == 0
    before = states(folder)
    file = own_raw / "points" / "case_005.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("lesion_2")), encoding="utf-8")
    assert complete(folder, **STAGE1) == 0
    after = states(folder)
    sources = [path for path in before if path.parent.name in ("expansion", "network")]
    assert {path.name for path in sources if before[path] != after[path]} == {"case_005.npz"}
    assert set(np.unique(read_array(folder / "case_005.nii.gz"))) == {0, 1}
    assert "lesion_1, cases trained on: weight" in capsys.readouterr().out


def test_a_bad_case_does_not_stop_the_others(own_raw, tmp_path, capsys):
    (own_raw / "points" / "case_001.csv").write_text("x,y\n", encoding="utf-8")
    image = own_raw / "imagesTr" / "case_002_0000.nii.gz"
    image.write_bytes(image.read_bytes()[:2000])
    assert complete(tmp_path / "masks", "--json", "--as-dataset", "903", **STAGE1) == 2
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert set(content["problems"]) == {"case_001", "case_002"}
    assert "case_001.csv" in content["problems"]["case_001"]
    assert len(content["cases"]) == 2
    assert content["dataset"] is None
    assert "Dataset903_Tiny is not written before all cases are completed" in err
    assert not (own_raw.parent / "Dataset903_Tiny").exists()


def test_json(nnunet, completed, tmp_path, capsys):
    folder = shutil.copytree(completed, tmp_path / "masks")
    assert complete(folder, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert set(content) == documented("complete")
    case = next(iter(content["cases"].values()))
    assert set(case) == documented("complete", "case")
    assert set(case["targets"][0]) == documented("complete", "target")
    assert set(content["weights"]) == {"trained_on", "not_trained_on"}
    assert set(content["weights"]["trained_on"]["lesion_1"]) == {"expansion", "network"}
    assert set(content["weights"]["trained_on"]["lesion_1"]["network"]) == documented("complete", "weight")
    assert list(content["cases"]) == [row["case"] for row in table(folder)]


def test_masks_of_a_different_model_are_refused(nnunet, completed, tmp_path, capsys):
    folder = shutil.copytree(completed, tmp_path / "masks")
    assert complete(folder, **STAGE1) == 2
    assert "contains masks of a different model, checkpoints: name a new folder" in capsys.readouterr().err
    assert complete(folder, "--overwrite", **STAGE1) == 0
    assert {row["folds"] for row in table(folder)} == {"0"}


def test_a_dense_case_keeps_its_mask(own_raw, tmp_path):
    """A case without points has a dense label map, as `paseg convert folder --masks` writes it."""
    (own_raw / "points" / "case_005.csv").unlink()
    label = own_raw / "labelsTr" / "case_005.nii.gz"
    image = sitk.ReadImage(str(label))
    dense = sitk.GetArrayFromImage(image)
    dense[dense == 3] = 0
    other = sitk.GetImageFromArray(dense)
    other.CopyInformation(image)
    sitk.WriteImage(other, str(label))
    assert complete(tmp_path / "masks", **STAGE1) == 0
    assert np.array_equal(read_array(tmp_path / "masks" / "case_005.nii.gz"), dense)
    (row,) = (row for row in table(tmp_path / "masks") if row["case"] == "case_005")
    assert (row["annotation"], row["confidence"], row["trained_on"], row["targets"]) == ("dense", "1.0", "", "")


@pytest.mark.parametrize(
    ("options", "folds", "message"),
    [
        ((), (0, 4), "Training of fold 4 is not finished"),
        ((), ("x",), "'x' is not a fold"),
        (("--images", "copy"), (0,), "--images has no effect without --as-dataset"),
        (("--as-dataset", "902"), (0,), "exists already: choose a different number for --as-dataset"),
        (("--as-dataset", "0"), (0,), "is no number of a dataset"),
        (("-tr", "PASegStage1AuxTrainer"), (0,), "nnUNetv2_train Dataset902_Tiny 3d_fullres 0 -tr PASegStage1Aux"),
        (("-c", "2d"), (0,), f"nnUNetv2_train {DATASET} 2d 0 -tr PASegStage2Trainer -p {PLANS}"),
    ],
)
def test_what_cannot_be_completed_is_refused_before_any_work(nnunet, tmp_path, capsys, options, folds, message):
    assert complete(tmp_path / "masks", *options, folds=folds) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "masks").exists()


def test_folders_that_cannot_be_used(nnunet, tmp_path, monkeypatch, capsys):
    assert complete(nnunet / "masks") == 2
    assert "name a folder outside of it" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("x", encoding="utf-8")
    assert complete(tmp_path / "other") == 2
    assert "contains other files: name a new folder" in capsys.readouterr().err
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    assert complete(tmp_path / "masks") == 2
    assert "splits_final.json cannot be used (it is missing)" in capsys.readouterr().err
    monkeypatch.delenv("nnUNet_preprocessed")
    assert complete(tmp_path / "masks") == 2
    assert "The environment variable nnUNet_preprocessed is not set" in capsys.readouterr().err


def test_without_a_gpu_the_message_names_the_option(nnunet, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert complete(tmp_path / "masks", "-device", "cuda") == 2
    assert "GPU" in capsys.readouterr().err


def test_regions_have_no_points(own_raw, tmp_path, capsys):
    file = own_raw / "dataset.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["labels"]["whole"] = [1, 2]
    file.write_text(json.dumps(content), encoding="utf-8")
    assert complete(tmp_path / "masks") == 2
    assert "has regions, which have no points" in capsys.readouterr().err
