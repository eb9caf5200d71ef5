"""Every kind of configuration and dataset once through nnU-Net's entry points: planning, both stages, prediction."""

import ast
import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

from nnunet_paseg.conversion.convert import convert
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.demo.phantom import write_phantom_dataset
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.formats.csv import write_csv
from nnunet_paseg.trainers.checkpoints.resume import read_checkpoint
from tests.in_process import InProcessWorkspace

# What these libraries warn of is no part of the test, as in a process of its own.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

TRAINERS = tuple(
    f"{name}_2epochs_1iterations" for name in ("PASegStage1Trainer", "PASegStage1AuxTrainer", "PASegStage2Trainer")
)
STAGE_1_TERMS = {"partial", "mcrf", "vm", "strength"}
STAGE_2_TERMS = {
    "supervised", "distillation", "supervised (auxiliary)", "distillation (auxiliary)", "teacher agreement",
}  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """A raw dataset, and the number of its classes."""

    space: InProcessWorkspace
    name: str
    classes: int

    @property
    def number(self) -> int:
        return int(self.name[7:10])

    def configuration(self, plans, name):
        content = json.loads((self.space.preprocessed / self.name / f"{plans}.json").read_text(encoding="utf-8"))
        return content["configurations"][name]


@pytest.fixture
def dataset(tmp_path):
    """Convert four phantoms for training, of which the last validates, and one to predict."""

    def make(number, *, classes=1, change=lambda cases: cases, **phantom):
        dense = tmp_path / "dense"
        write_phantom_dataset(dense, num_train=4, num_test=1, num_classes=classes, **phantom)
        cases = [
            Case(
                name := mask.name.removesuffix(".nii.gz"),
                (dense / f"images{suffix}" / f"{name}_0000.nii.gz",),
                mask=mask,
                annotation="simulated",
                split=split,
            )
            for suffix, split in (("Tr", "train"), ("Ts", "test"))
            for mask in sorted((dense / f"labels{suffix}").glob("*.nii.gz"))
        ]
        made = Dataset(InProcessWorkspace(tmp_path / "nnunet", num_processes=1), f"Dataset{number}_Kind", classes)
        names = tuple(f"lesion_{label}" for label in range(1, classes + 1))
        plan = DatasetPlan(made.name, ("MRI",), names, validation=("case_003",))
        convert(change(cases), plan, made.space.raw, num_processes=1)
        return made

    return make


def kind_of(weights):
    """Family and number of dimensions of a network, by the names and shapes of its weights."""
    dimensions = {tensor.ndim - 2 for name, tensor in weights.items() if name.endswith("conv.weight")}
    assert len(dimensions) == 1
    residual = any(name.startswith("encoder.stages.0.blocks.") for name in weights)
    return ("residual" if residual else "plain"), dimensions.pop()


def loss_terms(fold):
    """Of every epoch, out of nnU-Net's log; a NaN or an infinity is no literal and raises."""
    log = next(fold.glob("training_log_*.txt")).read_text(encoding="utf-8")
    return [ast.literal_eval(terms) for terms in re.findall(r"Loss terms: (\{.*\})", log)]


def train_and_predict(dataset, plans, configuration, *, primary, auxiliary, dimensions):
    """Both stages and a prediction as a user types them; checks what every kind must bring.

    Returns:
        The folder of stage 2's fold.
    """
    space = dataset.space
    tiny = space.small_plans(dataset.name, "tiny", features=4, source=plans)
    arguments = {"plans": tiny, "configuration": configuration, "fold": 0}
    expected = zip(TRAINERS, (STAGE_1_TERMS, STAGE_1_TERMS, STAGE_2_TERMS), (primary, auxiliary, primary), strict=True)
    for trainer, terms, family in expected:
        fold = space.train(dataset.name, trainer, **arguments) / "fold_0"
        assert [set(epoch) for epoch in loss_terms(fold)] == [terms, terms]
        checkpoint = read_checkpoint(str(fold / "checkpoint_final.pth"))
        assert kind_of(checkpoint["network_weights"]) == (family, dimensions)
        assert {f"paseg/{term}" for term in terms} <= checkpoint["logging"].keys()
        for picture in ("paseg_progress.png", "paseg_patches.png"):
            assert (fold / picture).stat().st_size > 1000
        assert [file.name for file in (fold / "validation").glob("*.nii.gz")] == ["case_003.nii.gz"]
    assert kind_of(checkpoint["paseg"]["auxiliary_weights"]) == (auxiliary, dimensions)
    assert [kind_of(weights)[0] for weights in checkpoint["paseg"]["teacher_weights"]] == [primary, auxiliary]

    output = space.predict(dataset.name, trainer, space.folder / "predicted", mirroring=False, **arguments)
    (image,) = (space.raw / dataset.name / "imagesTs").glob("*_0000.nii.gz")
    prediction = read_array(output / image.name.replace("_0000", ""))
    assert prediction.shape == read_array(image).shape
    assert set(np.unique(prediction)) <= set(range(dataset.classes + 1)), "the ignore label was predicted"
    return fold


def test_2d(dataset):
    data = dataset(911, shape_zyx=(16, 32, 32))
    plans = data.space.plan(data.number, "2d")
    train_and_predict(data, plans, "2d", primary="plain", auxiliary="residual", dimensions=2)


def test_anisotropic_3d_with_four_classes(dataset):
    data = dataset(912, classes=4, shape_zyx=(16, 56, 56), spacing_mm=(4.0, 1.0, 1.0))
    plans = data.space.plan(data.number)
    network = data.configuration(plans, "3d_fullres")["architecture"]["arch_kwargs"]
    assert (network["kernel_sizes"][0], network["strides"][1]) == ([1, 3, 3], [1, 2, 2])
    fold = train_and_predict(data, plans, "3d_fullres", primary="plain", auxiliary="residual", dimensions=3)
    weights = read_checkpoint(str(fold / "checkpoint_final.pth"))["network_weights"]
    assert weights["decoder.seg_layers.0.weight"].shape[0] == 5


def test_residual_encoder_plans(dataset):
    data = dataset(913, shape_zyx=(16, 32, 32))
    planner = ["-pl", "nnUNetPlannerResEncM", "-c", "3d_fullres", "-np", 1]
    data.space.run("nnUNetv2_plan_and_preprocess", "-d", data.number, *planner, environment={"nnUNet_n_proc_DA": "1"})
    plans = "nnUNetResEncUNetMPlans"
    train_and_predict(data, plans, "3d_fullres", primary="residual", auxiliary="plain", dimensions=3)


def test_dense_cases_point_cases_and_a_case_without_target(dataset, tmp_path):
    def mixed(cases):
        points, dense, empty, judge, test = cases
        file = tmp_path / "nothing.csv"
        write_csv([], file)
        return [
            points,
            replace(dense, annotation="dense"),
            replace(empty, annotation="points", points=file, mask=None),
            replace(judge, annotation="dense"),
            test,
        ]

    data = dataset(914, classes=2, shape_zyx=(16, 32, 32), change=mixed)
    labels = [
        set(np.unique(read_array(data.space.raw / data.name / "labelsTr" / f"case_00{case}.nii.gz")).tolist())
        for case in range(4)
    ]
    assert labels == [{0, 1, 2, 3}, {0, 1, 2}, {0}, {0, 1, 2}]
    plans = data.space.plan(data.number)
    fold = train_and_predict(data, plans, "3d_fullres", primary="plain", auxiliary="residual", dimensions=3)
    log = next(fold.glob("training_log_*.txt")).read_text(encoding="utf-8")
    assert "checkpoint_best is chosen on 1 densely annotated validation cases" in log
    assert (fold / "checkpoint_best.pth").exists()
