"""A simulated campaign of clicking: which scans to click next."""
