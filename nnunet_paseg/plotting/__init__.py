"""Figures: canvas, colours, slices, curves."""
