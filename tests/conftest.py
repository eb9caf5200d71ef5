"""What the tests share: small images on disk, and folders for nnU-Net."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# One thread a process: the tests start several, on machines with few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no error.
settings.register_profile("paseg", deadline=None)
settings.load_profile("paseg")


def load_script(name):
    """A script of dataset_conversion/, imported as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "dataset_conversion" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_image(array, path, spacing_mm=(2.0, 1.0, 1.0)):
    """Write an array (z, y, x) with spacing (z, y, x)."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in spacing_mm[::-1]])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


@pytest.fixture(scope="session")
def dask_cluster():
    """The address of a Dask cluster of two worker processes on this machine. It may be missing, but not in CI."""
    if importlib.util.find_spec("distributed") is None and os.environ.get("CI") != "true":
        pytest.skip("dask.distributed is not installed")
    from benchmarks.cluster import local_cluster

    with local_cluster() as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def dense_dataset(tmp_path):
    """A dense raw dataset of six 12x16x20 cases with two classes, whose labels are 1 and 3."""
    folder = tmp_path / "dense" / "Dataset001_Tiny"
    rng = np.random.default_rng(0)
    for number in range(6):
        mask = np.zeros((12, 16, 20), dtype=np.uint8)
        mask[4:8, 4:9, 3:9] = 1
        mask[4:8, 6:12, 11:16] = 3
        image = (mask * 50 + rng.normal(100, 5, mask.shape)).astype(np.float32)
        write_image(image, folder / "imagesTr" / f"case_{number}_0000.nii.gz")
        write_image(mask, folder / "labelsTr" / f"case_{number}.nii.gz")
    (folder / "dataset.json").write_text(
        json.dumps(
            {
                "channel_names": {"0": "MRI"},
                "labels": {"background": 0, "liver": 1, "spleen": 3},
                "numTraining": 6,
                "file_ending": ".nii.gz",
            }
        ),
        encoding="utf-8",
    )
    return folder
