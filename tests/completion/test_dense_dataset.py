import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from nnunet_paseg.completion.dataset import ClickedDataset
from nnunet_paseg.completion.dense_dataset import write_dataset
from nnunet_paseg.completion.folder import CompletionFolder
from nnunet_paseg.expansion.folder import read_record
from nnunet_paseg.io.images import read_array
from tests.completion.conftest import complete


@pytest.mark.parametrize("images", ["link", "copy", "reference"])
def test_a_dense_dataset_that_nnunet_accepts(nnunet, completed, tmp_path, images):
    dataset = ClickedDataset.open(nnunet.name, needs_splits=True)
    folder = CompletionFolder(completed, {"paseg_complete": {"version": "1"}})
    cases = dataset.cases(["0", "1"])
    records = {case.identifier: read_record(folder.record(case.identifier)) for case in cases}
    target = tmp_path / "Dataset903_Tiny"
    write_dataset(target, dataset, cases, folder, records, images)
    content = json.loads((target / "dataset.json").read_text(encoding="utf-8"))
    assert content["labels"] == {"background": 0, "lesion_1": 1, "lesion_2": 2}
    assert content["numTraining"] == 8
    verify_dataset_integrity(str(target), num_processes=1)
    files = get_filenames_of_train_images_and_targets(str(target))
    assert len(files) == 8
    for case, found in files.items():
        source = nnunet / "imagesTr" / f"{case}_0000.nii.gz"
        (image,) = map(Path, found["images"])
        assert np.array_equal(read_array(image), read_array(source))
        assert source.samefile(image) == (images != "copy")
        name = f"{case}.nii.gz"
        assert np.array_equal(read_array(target / "labelsTr" / name), read_array(completed / name))
    assert len(json.loads((target / "splits_final.json").read_text(encoding="utf-8"))) == 2
    record = json.loads((target / "paseg.json").read_text(encoding="utf-8"))
    assert record["completed_from"] == nnunet.name
    assert record["cases"]["case_000"]["trained_on"] is False


def test_the_command_writes_it_once(nnunet, completed, tmp_path, capsys):
    masks, target = shutil.copytree(completed, tmp_path / "masks"), nnunet.with_name("Dataset903_Tiny")
    try:
        assert complete(masks, "--as-dataset", "903", "--images", "copy") == 0
        assert f"{target}: a dense dataset of 8 cases" in capsys.readouterr().out
        assert len(list((target / "imagesTr").iterdir())) == 8
        assert complete(masks, "--as-dataset", "903") == 2
        assert f"{target} exists already: choose a different number" in capsys.readouterr().err
    finally:
        shutil.rmtree(target, ignore_errors=True)


def test_a_number_of_preprocessed_data_is_refused(nnunet, tmp_path, capsys, monkeypatch):
    (tmp_path / "Dataset903_Other").mkdir()
    (tmp_path / nnunet.name).mkdir()
    (tmp_path / nnunet.name / "splits_final.json").write_text("[]", encoding="utf-8")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    assert complete(tmp_path / "masks", "--as-dataset", "903") == 2
    assert "Dataset903_Other exists already" in capsys.readouterr().err
