"""What makes the tables in README.md and in docs/."""
