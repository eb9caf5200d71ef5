"""One JSON object on stdout, for scripts: `--json` of several commands."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object instead of text, also for an error; progress and messages stay on stderr",
    )


def print_json(content: Mapping[str, Any]) -> None:
    """Print an object in one line of ASCII. Numbers that are not finite are null, since JSON has none."""
    print(json.dumps(_finite(content), allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
