"""What a score compared: classes that are in no file, and label values in the files that no class contains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nnunet_paseg.evaluation.case_scores import CaseScores, Classes
from nnunet_paseg.evaluation.table import Row, present_classes

MAX_NAMED = 3
"""Most cases, and files, that a message names."""
MAX_VALUES = 10
"""Most label values that a message names."""


def absent_notes(rows: Sequence[Row], classes: Classes) -> list[str]:
    """Return a sentence for each class that is in no file or in no reference, where a mean Dice means little.

    Args:
        rows: Scores of all cases.
        classes: Classes that were scored.
    """
    present, notes = present_classes(rows), []
    for name, of_class in classes.values.items():
        of_name = [row for row in rows if row.class_name == name]
        if name not in present:
            who = _describe(name, of_class)
            notes.append(f"{who} is in no reference and in no prediction: absent, not part of the foreground.")
        elif not any(row.reference_ml for row in of_name):
            cases = some([row.case for row in of_name if row.prediction_ml])
            notes.append(f"{name} is in no reference, but in the prediction of {cases}: Dice is 0 there, 1 elsewhere.")
    return notes


def unscored_notes(cases: Mapping[str, CaseScores], classes: Classes) -> list[str]:
    """Return a sentence on the label values in the files that are not part of any class, if there are such values."""
    scored = {value for of_class in classes.values.values() for value in of_class}
    found = {path: values - scored for case in cases.values() for path, values in case.values.items()}
    values = sorted(set().union(*found.values()))
    paths = [str(path) for path, unscored in found.items() if unscored]
    return [f"Not scored: {some_values(values)}, in {some(paths)}."] if values else []


def nothing_compared(cases: Mapping[str, CaseScores], classes: Classes) -> str:
    """Return the message for files that contain none of the classes."""
    found = sorted({value for case in cases.values() for values in case.values.values() for value in values})
    wanted = ", ".join(_describe(name, of_class) for name, of_class in classes.values.items())
    return (
        f"Nothing to compare: no reference and no prediction contains {wanted}; they contain "
        f"{some_values(found) if found else 'only label 0'}: correct {classes.source or '--labels'} or the files"
    )


def some(names: Sequence[str]) -> str:
    """List names, at most three of them."""
    rest = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + rest


def some_values(values: Sequence[int]) -> str:
    """List label values, at most ten of them."""
    rest = f" and {len(values) - MAX_VALUES} more" if len(values) > MAX_VALUES else ""
    return f"{'label' if len(values) == 1 else 'labels'} {', '.join(map(str, values[:MAX_VALUES]))}{rest}"


def _describe(name: str, values: Sequence[int]) -> str:
    return name if name == some_values(values) else f"{name} ({some_values(values)})"
