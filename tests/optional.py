"""Programs and packages that only some tests need."""

import importlib
import os
from types import ModuleType

import pytest


def optional_package(name: str, reason: str) -> ModuleType:
    """Import a package, or skip the tests that need it; where CI=true, a missing one is an error."""
    if os.environ.get("CI") == "true":
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=reason)
