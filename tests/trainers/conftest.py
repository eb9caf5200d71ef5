"""A planned and preprocessed point dataset of tiny phantoms, made once with nnU-Net's own commands."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_paseg.conversion.convert import convert
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.demo.phantom import write_phantom_dataset
from tests.in_process import InProcessWorkspace

DATASET_ID, DATASET, PLANS = 902, "Dataset902_Tiny", "tinyPlans"


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """Eight training and two test phantoms of 16x32x32 voxels and two classes."""
    folder = tmp_path_factory.mktemp("workspace")
    dense = folder / "dense"
    write_phantom_dataset(dense, num_train=8, num_test=2, shape_zyx=(16, 32, 32), num_classes=2)
    cases = [
        Case(
            mask.name.removesuffix(".nii.gz"),
            (dense / f"images{suffix}" / mask.name.replace(".nii.gz", "_0000.nii.gz"),),
            mask=mask,
            annotation="simulated",
            split=split,
        )
        for suffix, split in (("Tr", "train"), ("Ts", "test"))
        for mask in sorted((dense / f"labels{suffix}").glob("*.nii.gz"))
    ]
    space = InProcessWorkspace(folder, num_processes=2)
    convert(cases, DatasetPlan(DATASET, ("MRI",), ("lesion_1", "lesion_2")), space.raw, num_processes=1)
    space.plan(DATASET_ID)
    space.small_plans(DATASET, PLANS, features=4)
    return space


@pytest.fixture
def make_trainer(workspace, monkeypatch):
    """A trainer on the CPU, made as nnU-Net makes it; keyword arguments change its dataset.json."""
    # nnU-Net's paths read the environment when they are used.
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    folder = workspace.preprocessed / DATASET

    def make(cls, *, fold="all", configuration="3d_fullres", plans=None, **changes):
        plans = plans or json.loads((folder / f"{PLANS}.json").read_text(encoding="utf-8"))
        plans["continue_training"] = False
        dataset_json = {**json.loads((folder / "dataset.json").read_text(encoding="utf-8")), **changes}
        trainer = cls(plans, configuration, fold, dataset_json, torch.device("cpu"))
        trainer.num_iterations_per_epoch = 2
        trainer.num_val_iterations_per_epoch = 1
        return trainer

    return make


@pytest.fixture
def preprocess(workspace, monkeypatch):
    """Preprocess arrays as nnU-Net does, beside the tiny dataset; returns plans of their own for them.

    Arguments: cases, name -> (image (c, z, y, x), labels (z, y, x)), and entries to change in every configuration.
    """
    folder = workspace.preprocessed / DATASET
    made = []

    def make(cases, **changes):
        plans = json.loads((folder / f"{PLANS}.json").read_text(encoding="utf-8"))
        dataset_json = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        plans["plans_name"] = f"ownPlans{len(made)}"
        target = folder / f"{plans['plans_name']}_data"
        target.mkdir()
        made.append(target)
        channels = len(next(iter(cases.values()))[0])
        for configuration in plans["configurations"].values():
            own = {"data_identifier": target.name, "use_mask_for_norm": [False] * channels, **changes}
            configuration |= {"normalization_schemes": ["ZScoreNormalization"] * channels, **own}
        properties = plans["foreground_intensity_properties_per_channel"]
        plans["foreground_intensity_properties_per_channel"] = {str(n): properties["0"] for n in range(channels)}
        manager = PlansManager(plans)
        configuration = manager.get_configuration("3d_fullres")
        for name, (image, labels) in cases.items():
            image, labels, facts = DefaultPreprocessor(verbose=False).run_case_npy(
                image, labels[None], {"spacing": [2.0, 1.0, 1.0]}, manager, configuration, dataset_json
            )
            sizes = [
                comp_blosc2_params(array.shape, tuple(configuration.patch_size), array.itemsize)
                for array in (image, labels)
            ]
            nnUNetDatasetBlosc2.save_case(
                image.astype(np.float32), labels, facts, str(target / name),
                chunks=sizes[0][1], blocks=sizes[0][0], chunks_seg=sizes[1][1], blocks_seg=sizes[1][0],
            )  # fmt: skip
        return plans

    yield make
    for target in made:
        shutil.rmtree(target)
