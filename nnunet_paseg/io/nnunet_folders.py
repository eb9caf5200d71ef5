"""nnU-Net's three folders, from its environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from nnunet_paseg.errors import PasegError


def nnunet_folder(variable: str) -> Path | None:
    """Return the folder in an environment variable of nnU-Net, None if the variable is not set.

    Args:
        variable: ``nnUNet_raw``, ``nnUNet_preprocessed`` or ``nnUNet_results``.

    Raises:
        PasegError: The value starts with "~".
    """
    value = os.environ.get(variable, "")
    # nnU-Net does not expand it either: an expanded path here would not be the folder that nnU-Net uses.
    if value.startswith("~"):
        raise PasegError(
            f"The environment variable {variable} is '{value}', and nnU-Net does not expand '~': set it to "
            f"{Path(value).expanduser() if value[1:2] in ('', '/') else 'the full path'}."
        )
    return Path(value) if value else None
