"""Where nnU-Net looks for the trainers. It imports this file by its bare name: only the real classes are passed on."""

from typing import Any


def __getattr__(name: str) -> Any:
    from nnunet_paseg.trainers import trainer_class

    return trainer_class(name)
