"""nnU-Net v2 trained from seven points per target: seeds, losses and trainers (PA-Seg, IEEE TMI 2023)."""

from importlib.metadata import version
from pathlib import Path

__version__ = version("nnunet-paseg")

EXT_FOLDER = Path(__file__).resolve().parent / "ext"
"""Folder in which nnU-Net finds the trainers: the value of ``nnUNet_extTrainer``."""
