"""The module in which nnU-Net finds the trainers. It imports this file by its bare name."""

from typing import Any


def __getattr__(name: str) -> Any:
    from nnunet_paseg.trainers import trainer_class

    return trainer_class(name)
