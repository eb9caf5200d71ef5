"""Names of classes and channels, as nnU-Net accepts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nnunet_paseg.errors import PasegError

RESERVED = ("background", "ignore")
"""nnU-Net's own labels."""


def check_names(class_names: Sequence[str], channel_names: Sequence[str] = ()) -> None:
    """Raise PasegError if a class or a channel has no name, or if classes cannot be distinguished.

    Args:
        class_names: Classes of the dataset.
        channel_names: One name per channel.
    """
    for kind, names in (("class", class_names), ("channel", channel_names)):
        if not all(isinstance(name, str) and name.strip() for name in names):
            raise PasegError(f"A {kind} has no name, in {list(names)}: give every {kind} a name.")
    repeated = [name for name, count in Counter(class_names).items() if count > 1]
    if wrong := sorted({*repeated, *(set(RESERVED) & set(class_names))}):
        raise PasegError(
            f"The classes {list(class_names)} need different names: {', '.join(wrong)} occurs twice, or is one of "
            "nnU-Net's own labels (background, ignore)."
        )
