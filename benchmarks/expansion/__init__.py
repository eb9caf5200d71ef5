"""Click-to-mask expansion on real targets: Dice, seeds and calibration, without training a segmentation network."""

from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
HALVES = RESULTS / "expansion_halves.json"
