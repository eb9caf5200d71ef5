"""Fuzz test of the readers: mutated point files and images either give the right result or a message, never silence.

A mutation with a known right answer (truncation, line ends, delimiters, quoting, columns, states, header fields) must
give the same result as the original file, or a message that names the file. A mutation of values may give any result,
but no traceback and no message without the file's name. ``python -m benchmarks.fuzz`` runs it.
"""
