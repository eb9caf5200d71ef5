"""A package that is missing skips tests of a user, but is an error in continuous integration."""

import pytest

from tests.optional import optional_package


def test_a_missing_package_skips_tests(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs it"):
        optional_package("no_such_package", "needs it")


def test_a_missing_package_is_an_error_in_continuous_integration(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(ModuleNotFoundError):
        optional_package("no_such_package", "needs it")
    assert optional_package("json", "").loads("1") == 1
