"""Prose in Markdown has lines of at most 120 columns; tables, code and lines that are only a link may be longer."""

import re

import pytest

from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])


def long_lines(text):
    """Return the numbers of lines of prose that are too long."""
    fenced, found, listed = False, [], False
    for number, line in enumerate(text.splitlines(), start=1):
        fenced ^= line.startswith("```")
        # A line that is indented by four belongs to a list where one is open, and is code elsewhere.
        listed = bool(re.match(r"\s*([*-]|\d+\.) ", line)) or (listed and (not line or line.startswith(" ")))
        code = fenced or (line.startswith("    ") and not listed)
        is_link = re.fullmatch(r"\s*[*-]?\s*!?\[[^]]*\]\([^)]*\)\S?", line)
        if len(line) > 120 and not (code or is_link or line.startswith("|")):
            found.append(number)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_prose(page):
    assert long_lines(page.read_text(encoding="utf-8")) == []


def test_what_counts():
    long = "word " * 30
    text = f"{long}\n\n    {long}\n* {long}\n    {long}\n| {long} |\n```\n{long}\n```\n{long}"
    assert long_lines(text) == [1, 4, 5, 10]
    assert long_lines(f"[{long}](https://example.org)\n[{long}](https://example.org) {long}") == [2]
