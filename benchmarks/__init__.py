"""Benchmarks that write the tables in README.md and in docs/."""
