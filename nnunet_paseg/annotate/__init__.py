"""Seven clicks per target in a browser, and their masks at once: a local web page."""
