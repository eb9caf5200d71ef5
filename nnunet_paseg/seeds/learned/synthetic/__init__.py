"""Synthetic targets on which the expansion network is trained: shapes, appearances and clicks, all random."""
