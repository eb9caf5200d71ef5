"""The metrics of a segmentation, under the name that other code imports."""

from nnunet_paseg.evaluation.metrics import PRESETS, Preset, Scores, assd, dice, hd95, score

__all__ = ["PRESETS", "Preset", "Scores", "assd", "dice", "hd95", "score"]
