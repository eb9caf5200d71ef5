"""Pictures and numbers of a report have no absolute size: voxels of a micrometre and of a centimetre."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.report.page import _number
from nnunet_paseg.report.pictures import CaseVolumes, case_picture


def picture(scale, size):
    labels = np.zeros((20, 50, 60), dtype=np.uint8)
    labels[8:12, 20 : 20 + size, 30 : 30 + size] = 1
    maps = []
    for values in (np.random.default_rng(0).normal(size=labels.shape) + 5 * labels, labels):
        maps.append(sitk.GetImageFromArray(values))
        maps[-1].SetSpacing((scale, scale, 3 * scale))
    return case_picture(CaseVolumes(maps[0], prediction=maps[1]), {"tumor": 1})


@settings(max_examples=5, deadline=None)
@given(st.floats(1e-3, 10), st.sampled_from([3, 15]))
def test_a_picture_is_the_same_in_every_unit(scale, size):
    assert picture(scale, size) == picture(1.0, size)


@given(st.floats(1e-15, 1e6))
def test_numbers_keep_two_significant_digits(value):
    assert float(_number(value)) == pytest.approx(value, rel=0.06)
    assert len(_number(value)) < 12


def test_numbers():
    numbers = {0.0: "0.00", 0.192: "0.19", 0.0021: "0.0021", 2e-9: "2.0e-09", 12.345: "12.35", math.nan: "–"}
    assert {value: _number(value) for value in numbers} == numbers
