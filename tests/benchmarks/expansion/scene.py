"""Small targets and dense datasets for the tests of the expansion benchmark."""

import json

import numpy as np
import SimpleITK as sitk

from benchmarks.expansion.clicks import simulate_draws
from benchmarks.expansion.target import Target


def cube_target(*, case="case", draws=2, low=8, high=14, channels=1):
    """Return a bright cube in noise."""
    mask = np.zeros((22, 22, 22), dtype=bool)
    mask[low:high, low:high, low:high] = True
    noise = np.random.default_rng(0).standard_normal((channels, *mask.shape))
    image = (10 * mask + noise).astype(np.float32)
    return simulate_draws(Target("Dataset900_A", "cube", case, image, mask, (2.0, 1.0, 1.0)), draws)


def write_dataset(folder, cases, *, channels=1):
    """Write a dense dataset with two classes: a cube, a smaller one of the same class, and a speck of another class."""
    names = {str(channel): f"channel {channel}" for channel in range(channels)}
    description = {"channel_names": names, "labels": {"background": 0, "cube": 1, "speck": 2}, "file_ending": ".nii.gz"}
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    mask = np.zeros((24, 24, 24), dtype=np.uint8)
    mask[4:9, 4:9, 4:9] = 1
    mask[15:19, 15:19, 15:19] = 1
    mask[20:23, 2:5, 20:23] = 2
    for case in cases:
        for name, array in [
            (f"labelsTr/{case}", mask),
            *((f"imagesTr/{case}_{channel:04d}", mask.astype(np.float32) + channel) for channel in range(channels)),
        ]:
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((1.0, 1.0, 2.0))
            sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
