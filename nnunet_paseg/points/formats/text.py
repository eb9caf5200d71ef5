"""Text files of any system: encodings, byte order marks and line ends."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path
from typing import Any

from nnunet_paseg.errors import PasegError

MAX_BYTES = 1 << 24
"""A larger file does not contain clicks."""
MAX_SHOWN = 80
"""Messages quote so many characters of a value."""


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, UTF-16 (with a byte order mark) or Windows-1252; all its lines end in a line feed.

    Raises:
        PasegError: The file is missing, too large or not text.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PasegError(f"{path} is larger than {MAX_BYTES >> 20} MiB, so it is not a point file: remove it.")
        content = path.read_bytes()
    except OSError as error:
        raise PasegError(f"{path} cannot be read ({error.strerror}).") from error
    text = _decode(content)
    if text is None or any(unicodedata.category(character) == "Cc" for character in set(text) - set("\t\r\n")):
        raise PasegError(f"{path} is not text in UTF-8: save it again as plain text.")
    return _line_feeds(text)


def _decode(content: bytes) -> str | None:
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if is_utf16 else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _line_feeds(text: str) -> str:
    text = re.sub(r"(?<!\r)\r+\n", "\n", text)
    if "\n" in text:
        # 3D Slicer 5 leaves carriage returns in the middle of some lines of .fcsv files, before a comma.
        text = re.sub(r"(?<!\r)\r+(?=,)", "", text)
    return text.replace("\r", "\n")


def shown(value: Any) -> str:
    """Return a value as one short line for a message."""
    text = " ".join(str(value).split())
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
