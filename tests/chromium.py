"""The chromium of the system, without a screen and without a graphics card."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.optional import optional_package

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


def executable():
    """Return the browser. Without one, tests of a user are skipped, and those of continuous integration fail."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"no browser: install one of {', '.join(NAMES)}")
    if found is None:
        pytest.skip(f"no browser: install one of {', '.join(NAMES)}")
    return found


def sync_playwright():
    """Return the entry of Playwright, which drives the browser."""
    return optional_package("playwright.sync_api", "the page is tested with playwright").sync_playwright()


def launch(playwright):
    """Start the browser."""
    return playwright.chromium.launch(executable_path=executable(), args=list(OPTIONS))
