"""Outcomes of trials."""

from __future__ import annotations

from dataclasses import dataclass

RIGHT = ("same", "message", "any")
"""Outcomes that are right: the original result, a message that names the file, and any result if none is known."""
WRONG = ("different", "traceback", "unnamed", "crash")
"""Violations: a different result without a message, another exception, a message without a name, a killed process."""


@dataclass(frozen=True)
class Trial:
    """Result of one trial.

    Attributes:
        kind: "points" or "images".
        number: Number of the trial, which with the seed determines the file.
        format: Format of the file.
        mutation: Kind of mutation.
        outcome: One of :data:`RIGHT` and :data:`WRONG`.
        detail: Message or last lines of the traceback.
    """

    kind: str
    number: int
    format: str
    mutation: str
    outcome: str
    detail: str = ""
