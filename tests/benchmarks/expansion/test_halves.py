"""The committed halves, and how they are made."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from benchmarks.expansion.halves import SAME_PATIENTS, halve, main, matches, read_halves
from nnunet_paseg.errors import PasegError


def write_dataset(folder, centres):
    """Write masks of one voxel; every case has a centre in world millimetres."""
    (folder / "labelsTr").mkdir(parents=True)
    (folder / "dataset.json").write_text("{}", encoding="utf-8")
    for case, centre in centres.items():
        mask = np.zeros((3, 3, 3), dtype=np.uint8)
        mask[1, 1, 1] = 1
        image = sitk.GetImageFromArray(mask)
        image.SetOrigin([centre - 1.0, -1.0, -1.0])
        sitk.WriteImage(image, str(folder / "labelsTr" / f"{case}.nii.gz"))


def test_the_committed_halves_are_disjoint_and_equal():
    halves = read_halves()
    assert len(halves) == 6
    for parts in halves.values():
        assert list(parts) == ["choose", "report"]
        assert not set(parts["choose"]) & set(parts["report"])
        assert abs(len(parts["choose"]) - len(parts["report"])) <= 1


def test_cases_of_known_patients_follow_them():
    cases = [f"case_{number}" for number in range(9)]
    halves = halve(cases, {"case_0": "report", "case_1": "report", "case_2": "report"}, np.random.default_rng(0))
    assert {"case_0", "case_1", "case_2"} < set(halves["report"])
    assert sorted(halves["choose"] + halves["report"]) == cases
    assert {len(part) for part in halves.values()} == {4, 5}


def test_one_patient_in_two_datasets_is_in_one_half(tmp_path):
    [(pet, mri)] = SAME_PATIENTS.items()
    centres = {f"m_{number}": 20.0 * number for number in range(8)}
    write_dataset(tmp_path / mri, centres)
    write_dataset(tmp_path / pet, {f"p_{number}": 20.0 * number + 40 for number in range(8)})
    assert matches(tmp_path / pet, tmp_path / mri) == {f"p_{number}": f"m_{number + 2}" for number in range(6)}
    output = tmp_path / "halves.json"
    assert main([str(tmp_path), "--output", str(output)]) == 0
    halves = json.loads(output.read_text(encoding="utf-8"))
    for number in range(6):
        assert (f"p_{number}" in halves[pet]["choose"]) == (f"m_{number + 2}" in halves[mri]["choose"])


def test_known_datasets_stay_as_they_are(tmp_path, capsys):
    write_dataset(tmp_path / "data" / "Dataset901_B", {"b": 0.0})
    output = tmp_path / "halves.json"
    output.write_text('{"Dataset900_A": {"choose": ["a"], "report": []}}', encoding="utf-8")
    assert main([str(tmp_path / "data"), "--output", str(output)]) == 0
    assert read_halves(output) == {
        "Dataset900_A": {"choose": ["a"], "report": []},
        "Dataset901_B": {"choose": ["b"], "report": []},
    }
    assert "Dataset901_B choose: 1, report: 0" in capsys.readouterr().out


def test_a_folder_without_datasets_is_an_error(tmp_path, capsys):
    output = tmp_path / "halves.json"
    assert main([str(tmp_path), "--output", str(output)]) == 2
    assert "contains no dataset: pass a folder of dense nnU-Net raw datasets" in capsys.readouterr().err
    assert not output.exists()


def test_a_missing_list_is_an_error(tmp_path):
    with pytest.raises(PasegError, match=r"halves\.json is missing: restore it"):
        read_halves(tmp_path / "halves.json")
