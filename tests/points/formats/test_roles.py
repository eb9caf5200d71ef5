"""Names of points and of their lists."""

import numpy as np
import pytest

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.markups import ControlPoint
from nnunet_paseg.points.formats.roles import parse_names


def names(label, list_name="", number=None):
    return parse_names(ControlPoint(np.zeros(3), label, list_name, "a.csv, point 1", number), ["tumor"], "case")


def test_a_column_of_numbers_comes_before_the_name():
    assert names("tumor 1 fg", number=2).number == 2
    assert names("tumor fg", number=2).number == 2


@pytest.mark.parametrize("label", ["tumor 1 out left", "tumor 1 fg", "tumor absent"])
def test_the_name_of_the_list_does_not_matter_to_a_full_name(label):
    assert names(label, "tumor_1_1").class_name == "tumor"


@pytest.mark.parametrize("label", ["tumor 1", "tumor fg", "fg", "F-1"])
def test_the_name_of_the_list_completes_others(label):
    assert names(label, "tumor 2").class_name == "tumor"
    with pytest.raises(PasegError, match=r"a\.csv, point 1, list: '1' in the name 'tumor_1_1' is neither"):
        names(label, "tumor_1_1")
