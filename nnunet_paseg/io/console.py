"""Output to a console of any encoding."""

from __future__ import annotations

import io
import sys


def replace_unprintable() -> None:
    """Print "?" for characters that the console's encoding lacks, such as umlauts in ASCII, instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
