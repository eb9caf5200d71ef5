"""The first project as its page has it: every command in its order, on phantoms and with short trainings."""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from nnunet_paseg.demo.phantom import write_phantom_dataset
from nnunet_paseg.io.images import read_labels
from nnunet_paseg.nnunet.workspace import Workspace
from nnunet_paseg.points.annotation import Annotation, clicks_of
from nnunet_paseg.points.formats.annotation_file import write_annotation
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.simulate import simulate_points
from tests.conftest import ROOT

PROGRAMS = ("paseg", "nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict")
SHORT = "_2epochs_2iterations"
MORE = {
    "nnUNetv2_plan_and_preprocess": "-np 1",
    "nnUNetv2_train": "-device cpu",
    "nnUNetv2_predict": "-device cpu -npp 1 -nps 1",
    "paseg complete": f"-device cpu -np 1 -tr PASegStage2Trainer{SHORT}",
    "paseg export": f"-tr PASegStage2Trainer{SHORT}",
}
"""Options that a user with a GPU does not need."""

PLANNING = {"nnUNet_n_proc_DA": "1"}
"""The planner uses the number of loading processes as its number of threads, which cannot be 0."""


def page_commands():
    """Return the commands of the page in their order."""
    page = (ROOT / "docs" / "first_project.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    (\S+ .*)$", page, re.MULTILINE)
    return [line for line in lines if line.split()[0] in PROGRAMS]


def write_scans(folder):
    """Write what the user of the page has: images, clicks from 3D Slicer, new images and masks of them."""
    for name in ("images", "points", "new", "masks"):
        (folder / name).mkdir()
    dense = folder / "dense"
    write_phantom_dataset(dense, num_train=6, num_test=2, shape_zyx=(16, 32, 32))
    for index, mask in enumerate(sorted((dense / "labelsTr").iterdir()), start=1):
        labels, image = read_labels(mask)
        grid = Grid.from_image(image)
        targets = simulate_points(labels, grid, {"tumor": 1}, np.random.default_rng(index))
        write_annotation(Annotation(clicks_of(targets, grid)), folder / "points" / f"case_{index:02d}.mrk.json")
        name = mask.name.replace(".nii", "_0000.nii")
        shutil.copy(dense / "imagesTr" / name, folder / "images" / f"case_{index:02d}.nii.gz")
    for index, mask in enumerate(sorted((dense / "labelsTs").iterdir()), start=40):
        shutil.copy(mask, folder / "masks" / f"case_{index}.nii.gz")
        name = mask.name.replace(".nii", "_0000.nii")
        shutil.copy(dense / "imagesTs" / name, folder / "new" / f"case_{index}_0000.nii.gz")


@pytest.mark.slow
def test_every_command_of_the_page(tmp_path, monkeypatch):
    write_scans(tmp_path)
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path / "nnunet", num_processes=1)
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    done = set()
    for command in page_commands():
        short = re.sub(r"(PASegStage(?:1|1Aux|2)Trainer)", rf"\1{SHORT}", command)
        words = shlex.split(os.path.expandvars(short))
        program = " ".join(words[:2]) if words[0] == "paseg" else words[0]
        done.add(program.removeprefix("paseg "))
        words += MORE.get(program, "").split()
        environment = PLANNING if "plan" in program else None
        workspace.run(Path(sys.executable).with_name(words[0]), *words[1:], environment=environment)
    assert done > {"check", "convert", "evaluate", "report", "complete", "export"}
    written = ["check.png", "report.html", "report_train.html", "scores.csv", "tumor.zip"]
    assert min((tmp_path / name).stat().st_size for name in written) > 100
    assert len(list((tmp_path / "completed").glob("*.nii.gz"))) == 6
