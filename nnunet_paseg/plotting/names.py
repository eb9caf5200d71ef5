"""Names of cases and classes as text for readers: any file name is allowed, and any character in it."""

import unicodedata

INVISIBLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories of control characters, bytes that are no UTF-8, and line and paragraph separators."""


def visible(name: str) -> str:
    """Return a name on one line, with escapes for characters that cannot be printed."""
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in INVISIBLE
        else character
        for character in name
    )


def shortened(name: str, length: int) -> str:
    """Return the two ends of a name that is longer than `length` characters, else the name."""
    half = (length - 1) // 2
    return name if len(name) <= length else f"{name[:half]}…{name[-half:]}"
