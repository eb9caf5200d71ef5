"""Accuracy on real data at equal plans and iterations: from seven points only, by every method, to dense masks.

Dense nnU-Net raw datasets are split by case, seven points per target are simulated on the training masks, and every
method is trained and scored with nnU-Net's own commands. ``python -m benchmarks.accuracy`` runs the grid of grid.py.
"""

from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
"""Where the committed tables are."""
