"""Synthetic targets for the training of the expansion network: random shapes, appearances and clicks."""
