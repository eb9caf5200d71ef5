"""The examples in the losses' docstrings run and print what they say."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["distillation", "gated_crf", "variance"])
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"nnunet_paseg.losses.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
