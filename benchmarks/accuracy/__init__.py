"""Accuracy on real data: every method, from seven points to dense masks, with equal plans and iterations.

Dense nnU-Net raw datasets are split by case, and seven points per target are simulated from the training masks.
Every method is trained and scored with nnU-Net's own commands. ``python -m benchmarks.accuracy`` runs the grid of
grid.py.
"""

from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
"""Folder of the committed tables."""
