"""Reads a page of `paseg report` as strictly as a validator would, and lets a browser open it."""

import base64
import importlib.util
import shutil
import subprocess
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from tests import chromium

VOID = {"meta", "link", "img", "br", "hr", "col", "input"}
BROWSERS = ("chromium", "google-chrome", "chromium-browser", "firefox")


class PageReader(HTMLParser):
    """Tags that nest, attributes, text by tag, and pictures; fails on anything that is not closed."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes), f"{tag} has an attribute twice"
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> in the wrong place"

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def values(self, attribute, tag=None):
        return [found[attribute] for name, found in self.tags if attribute in found and tag in (None, name)]

    def text(self):
        return " ".join(data for tag, data in self.texts if tag != "style")

    def pictures(self):
        """Arrays of all pictures, by their description."""
        found = {}
        for attributes in (attributes for tag, attributes in self.tags if tag == "img"):
            head, data = attributes["src"].split(",", 1)
            assert head == "data:image/png;base64"
            array = imread(BytesIO(base64.b64decode(data, validate=True)), format="png")
            assert array.shape[:2] == (int(attributes["height"]), int(attributes["width"]))
            found[attributes["alt"]] = array
        return found


def screenshot(path, picture, size=(1100, 4000)):
    """What a browser that runs without a screen shows of a page, as an array, and its errors."""
    if importlib.util.find_spec("playwright") and any(map(shutil.which, chromium.NAMES)):
        return _with_playwright(path, picture, size)
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser to open the page in: neither playwright nor {', '.join(BROWSERS)}")
    options = [f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}"]
    if "firefox" in found:
        options = ["--headless", *options, "--profile", str(picture.parent / "profile")]
        (picture.parent / "profile").mkdir(exist_ok=True)
    else:
        profile = f"--user-data-dir={picture.parent / 'profile'}"
        quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", *quiet, profile, *options]
    command = [found, *options, path.as_uri()]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=300, check=False)
    assert picture.exists(), run.stderr
    return _rgb(picture), [line for line in run.stderr.splitlines() if "CONSOLE" in line]


def _with_playwright(path, picture, size):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        messages = []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(path.as_uri())
        page.screenshot(path=str(picture))
        browser.close()
    return _rgb(picture), messages


def _rgb(picture):
    return (np.asarray(imread(picture))[..., :3] * 255).round().astype(int)
