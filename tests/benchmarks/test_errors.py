import json
import re

import numpy as np
import pytest
import SimpleITK as sitk

from benchmarks.errors import Errors, errors, line, main


def test_errors_by_hand():
    truth = np.zeros((1, 1, 20), dtype=bool)
    truth[..., 5:15] = True
    prediction = np.zeros_like(truth)
    prediction[..., 7:17] = True  # two voxels missing at one end, two too many at the other
    prediction[..., 19] = True
    found = errors(prediction, truth, (1.0, 1.0, 1.0), "a")
    # The missing ones are 1 and 2 mm deep; the false ones 1, 2 and 5 mm away.
    assert found.parts == pytest.approx((0.2, 0.1, 0.2, 0))
    assert found.volume == pytest.approx(1.1)
    assert found.dice == pytest.approx(2 * 8 / 21)
    assert errors(prediction, truth, (1.0, 1.0, 3.0)).parts == pytest.approx((0, 0.3, 0, 0.2))


def test_a_line_of_the_table():
    found = [Errors("a", 0.5, 1.5, (0.3, 0.1, 0.0, 0.0)), Errors("b", 0.9, 0.5, (0.1, 0.1, 0.2, 0.2))]
    assert line("cell", found) == "| cell | 0.700 | 1.00 | 0.40 | 0.20 | 0.20 | 0.20 | a 0.50, b 0.90 |"
    assert line("cell", [Errors("a", 1.0, 1.0, (0.0, 0.0, 0.0, 0.0))]) == "| cell | 1.000 | 1.00 |  |  |  |  | a 1.00 |"


def test_a_folder_without_cells_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "errors.md").write_text("kept", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["errors.py", str(tmp_path / "nowhere"), "--output", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert "nowhere contains no finished run: run" in capsys.readouterr().err
    assert (tmp_path / "errors.md").read_text(encoding="utf-8") == "kept"


def write_cell(workspace, name, *, dice_half=False):
    (workspace / "cells").mkdir(parents=True, exist_ok=True)
    (workspace / "cells" / f"{name}.json").write_text(json.dumps({"dataset": "Dataset900_A"}), encoding="utf-8")
    truth = np.zeros((4, 4, 4), dtype=np.uint8)
    truth[1:3, 1:3, 1:3] = 1
    prediction = truth.copy()
    prediction[2] *= not dice_half
    for folder, mask in (("nnUNet_raw/Dataset900_A/labelsTs", truth), (f"predictions/{name}", prediction)):
        (workspace / folder).mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(mask), str(workspace / folder / "a.nii.gz"))


def test_cells_of_two_workspaces(tmp_path, monkeypatch):
    write_cell(tmp_path / "one", "seeds")
    write_cell(tmp_path / "two", "stage1", dice_half=True)
    arguments = ["errors.py", str(tmp_path / "one"), str(tmp_path / "two"), "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    lines = (tmp_path / "errors.md").read_text(encoding="utf-8").splitlines()
    assert lines[2].startswith("| seeds | 1.000 | 1.00 |")
    assert lines[3].startswith("| stage1 | 0.667 | 0.50 |")

    write_cell(tmp_path / "three", "dense")
    monkeypatch.setattr("sys.argv", ["errors.py", str(tmp_path / "three"), "--output", str(tmp_path)])
    main()
    assert (tmp_path / "errors.md").read_text(encoding="utf-8").splitlines()[3:] == lines[2:]  # and they stay


def test_a_cell_without_its_predictions_is_refused(tmp_path, monkeypatch, capsys):
    write_cell(tmp_path / "one", "seeds")
    (tmp_path / "one" / "predictions" / "seeds" / "a.nii.gz").unlink()
    monkeypatch.setattr("sys.argv", ["errors.py", str(tmp_path / "one"), "--output", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert re.search(r"a\.nii\.gz is missing: delete .*seeds\.json and run", capsys.readouterr().err)
    assert not (tmp_path / "errors.md").exists()


def test_a_cell_that_two_workspaces_hold_is_refused(tmp_path, monkeypatch, capsys):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        write_cell(folder, "seeds")
    monkeypatch.setattr("sys.argv", ["errors.py", *map(str, folders), "--output", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert re.search(r"one and \S+two both contain seeds: pass only one of them", capsys.readouterr().err)
    assert not (tmp_path / "errors.md").exists()
