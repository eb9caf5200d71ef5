"""The module in which nnU-Net finds the trainers. It imports this file by its bare name."""

from typing import Any


def __getattr__(name: str) -> Any:
    from nnunet_paseg.errors import PasegError
    from nnunet_paseg.trainers import trainer_class

    try:
        return trainer_class(name)
    except PasegError as error:  # in a line, where nnU-Net would show a traceback
        raise SystemExit(f"error: {error}") from None
