"""Consoles that cannot print a name show "?" in its place."""

import os
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=4, deadline=None)
@given(st.text(st.characters(min_codepoint=161, max_codepoint=0x2FFF, exclude_categories=["Cs"]), min_size=1))
def test_any_name_is_printed_on_any_console(name: str) -> None:
    code = f"from nnunet_paseg.io.console import replace_unprintable as r; r(); print({name!a}, 'end')"
    for encoding in ("ascii", "cp1252"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert run.stdout.decode(encoding) == f"{name.encode(encoding, 'replace').decode(encoding)} end\n"
