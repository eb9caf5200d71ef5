"""nnU-Net v2 trained from seven points per target: seeds, losses and trainers (PA-Seg, IEEE TMI 2023)."""

from importlib.metadata import version

__version__ = version("nnunet-paseg")
