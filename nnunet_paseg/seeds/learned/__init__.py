"""Expansion of the clicks of a target by a network that is trained on synthetic targets alone."""
