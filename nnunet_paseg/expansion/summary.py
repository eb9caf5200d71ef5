"""Summary of an expansion, in text and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnunet_paseg.expansion.cases import Result
from nnunet_paseg.expansion.plan import ExpansionPlan

MAX_NAMED = 10
"""Most cases that one line names."""


def summary(result: Result, plan: ExpansionPlan) -> str:
    """Return the warnings, one per line, and a line on cases, targets and volumes."""
    lines = []
    for case, record in result.records.items():
        lines += [f"Warning: case {case}: {warning}." for warning in record["warnings"]]
        for number, target in enumerate(record["targets"], start=1):
            name = f"target {number} ({target['class']})"
            lines += [f"Warning: case {case}, {name}: {problem}." for problem in target["problems"]]
    targets = [target for record in result.records.values() for target in record["targets"]]
    found = {target["class"] for target in targets}
    if found and (absent := [name for name in plan.class_names if name not in found]):
        lines.append(f"Warning: none of these cases has a target of class {', '.join(absent)}: check --classes.")
    warnings = len(lines)
    if result.unlisted:
        more = f" and {len(result.unlisted) - MAX_NAMED} more" if len(result.unlisted) > MAX_NAMED else ""
        lines.append(f"Masks of cases that are no longer there: {', '.join(result.unlisted[:MAX_NAMED])}{more}.")
    counts = []
    for name in plan.class_names:
        volumes = [target["volume_mm3"] for target in targets if target["class"] == name]
        if volumes:
            counts.append(f"{len(volumes)} {name} ({min(volumes):.3g} to {max(volumes):.3g} mm³)")
    lines.append(
        f"{_plural(len(result.records), 'case')}, {_plural(len(targets), 'target')}: {', '.join(counts) or 'none'}; "
        f"{_plural(warnings, 'warning')}, {_plural(len(result.problems), 'bad case')}"
    )
    return "\n".join(lines)


def to_json(result: Result, output: Path) -> dict[str, Any]:
    """Return the outcome of an expansion as JSON.

    Args:
        result: Outcome.
        output: Folder of the masks.
    """
    return {
        "output": output,
        "cases": {
            case: {"targets": record["targets"], "warnings": record["warnings"]}
            for case, record in sorted(result.records.items())
        },
        "problems": dict(sorted(result.problems.items())),
        "unlisted": result.unlisted,
        "sheet": result.sheet,
    }


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
