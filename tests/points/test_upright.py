"""Volumes in the patient's axes are those of SimpleITK, without a copy."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.upright import upright

CODES = ["".join(code) for axes in itertools.permutations(("LR", "PA", "SI")) for code in itertools.product(*axes)]


@pytest.mark.parametrize("code", CODES)
def test_the_voxels_and_the_grid_are_those_of_simpleitk(code):
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(3, 4, 5)))
    image.SetSpacing((1.0, 2.0, 3.5))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(Rotation.from_euler("xyz", (10, -20, 15), degrees=True).as_matrix().ravel().tolist())
    scan = sitk.DICOMOrient(image, code)
    array = sitk.GetArrayFromImage(scan)
    turned, grid = upright(array, Grid.from_image(scan))
    expected = sitk.DICOMOrient(scan, "LPS")
    np.testing.assert_array_equal(turned, sitk.GetArrayFromImage(expected))
    assert np.shares_memory(turned, array)
    assert grid.same_as(Grid.from_image(expected))
    assert grid.direction == pytest.approx(Grid.from_image(expected).direction)
