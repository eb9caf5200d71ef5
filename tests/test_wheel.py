"""The installed package alone: a wheel in a fresh environment outside the checkout converts, plans and trains."""

import os
import shutil
import subprocess
import sys
import sysconfig

import pytest

from tests.conftest import ROOT
from tests.conversion.commands.test_folder import write_cases

pytestmark = pytest.mark.slow

SOURCE = ("pyproject.toml", "README.md", "LICENSE", "nnunet_paseg")
NNUNET = {
    "nnUNetv2_plan_and_preprocess": (
        "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints",
        "plan_and_preprocess_entry",
    ),
    "nnUNetv2_train": ("nnunetv2.run.run_training", "run_training_entry"),
}


class Environment:
    """A virtual environment that has the wheel, and all other packages from the environment of the tests."""

    def __init__(self, folder):
        self.folder, self.bin = folder, folder / "venv" / "bin"
        self.variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("nnUNet_", "PYTHON"))
        }
        self.variables |= {"nnUNet_def_n_proc": "1", "OMP_NUM_THREADS": "2"}
        self.variables |= {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
        self.variables["PATH"] = f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    def run(self, *command, **variables):
        result = subprocess.run(
            [*map(str, command)],
            env={**self.variables, **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout

    def nnunet(self, name, *arguments, **variables):
        """Run one of nnU-Net's commands by its function: its script is in the other environment's folder."""
        module, function = NNUNET[name]
        code = f"import sys; from {module} import {function}; sys.argv[0] = {name!r}; {function}()"
        return self.run(self.bin / "python", "-c", code, *arguments, **variables)


@pytest.fixture
def environment(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in SOURCE:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, source / name)
    made = Environment(tmp_path / "outside")
    made.folder.mkdir()
    made.run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", source, "--wheel-dir", tmp_path)
    made.run(sys.executable, "-m", "venv", made.folder / "venv")
    [wheel] = tmp_path.glob("*.whl")
    made.run(made.bin / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    # Everything else comes from the environment of the tests; what is installed here comes first.
    [site] = (made.folder / "venv" / "lib").glob("python*/site-packages")
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    imported = made.run(made.bin / "python", "-c", "import nnunet_paseg; print(nnunet_paseg.__file__)")
    assert imported == f"{site / 'nnunet_paseg' / '__init__.py'}\n"
    return made


def test_the_wheel_converts_plans_and_trains(environment):
    write_cases(environment.folder, number=5)
    paseg = environment.bin / "paseg"
    dataset = environment.run(paseg, "convert", "folder", "images", "points", 101, "--num-processes", 2).strip()
    assert dataset == f"{environment.folder / 'raw' / 'Dataset101_Points'}"
    trainers = environment.run(paseg, "trainer-dir").strip()
    assert trainers.startswith(f"{environment.folder / 'venv'}{os.sep}")
    options = ("-d", 101, "-c", "3d_fullres", "-np", 1, "-npfp", 1, "--verify_dataset_integrity")
    environment.nnunet("nnUNetv2_plan_and_preprocess", *options)
    trainer = "PASegStage1Trainer_1epochs_2iterations"
    arguments = (101, "3d_fullres", 0, "-tr", trainer, "-device", "cpu")
    environment.nnunet("nnUNetv2_train", *arguments, nnUNet_extTrainer=trainers, nnUNet_n_proc_DA="0")
    model = environment.folder / "results" / "Dataset101_Points" / f"{trainer}__nnUNetPlans__3d_fullres" / "fold_0"
    assert (model / "checkpoint_final.pth").is_file()
    assert len(list((model / "validation").glob("*.nii.gz"))) == 1
