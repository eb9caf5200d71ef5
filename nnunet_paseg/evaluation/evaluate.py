"""`paseg evaluate`: scores of a folder of predicted label maps against a folder of dense references."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.case_scores import CaseScores, Classes, Job
from nnunet_paseg.evaluation.comparison import absent_notes, nothing_compared, some, unscored_notes
from nnunet_paseg.evaluation.metrics import PRESETS
from nnunet_paseg.evaluation.processes import score_cases
from nnunet_paseg.evaluation.table import Row, format_table, mean_scores, present_classes, write_csv
from nnunet_paseg.io.case_files import IMAGES, label_maps
from nnunet_paseg.io.cluster import add_dask_argument
from nnunet_paseg.io.files import check_output
from nnunet_paseg.io.json_output import add_json_argument, print_json


@dataclass(frozen=True)
class Evaluation:
    """Scores of a folder of predictions.

    Attributes:
        rows: One row per case and class, ordered by case, of the cases that can be scored.
        failures: Message per case that cannot be scored.
        notes: Sentences on labels that are in no file, or that are in the files and not scored.
    """

    rows: tuple[Row, ...]
    failures: Mapping[str, str]
    notes: tuple[str, ...]


def evaluate_folder(
    predictions: str | Path,
    references: str | Path,
    *,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    dataset_json: str | Path | None = None,
    preset: str = "default",
    missing_as_empty: bool = False,
    num_processes: int = 1,
    dask: str | None = None,
    progress: bool = False,
) -> list[Row]:
    """Score every case of a folder of references, class by class.

    Cases are matched by file name without its suffix. The spacing is that of the reference.

    Args:
        predictions: Folder of label maps, as written by nnUNetv2_predict.
        references: Folder of dense label maps, such as labelsTs.
        labels: Label value, or the values of a region, by class name. Default: those of dataset.json.
        dataset_json: nnU-Net's dataset.json. Default: the first one found in `references`, in its parent folder or in
            `predictions`. Its "background" and "ignore" are not scored.
        preset: Definition of the distances, a key of `nnunet_paseg.evaluation.metrics.PRESETS`.
        missing_as_empty: Whether a reference without a prediction is scored as an empty prediction.
        num_processes: Number of processes that share the cases.
        dask: Address of a Dask scheduler, whose workers do the cases; None for processes of this machine.
        progress: Whether to show a progress bar on stderr.

    Returns:
        One row per case and class, ordered by case.

    Raises:
        PasegError: The folders do not match, a file cannot be read, geometries differ, or a label is not declared.
    """
    result = score_folder(
        predictions,
        references,
        labels=labels,
        dataset_json=dataset_json,
        preset=preset,
        missing_as_empty=missing_as_empty,
        num_processes=num_processes,
        dask=dask,
        progress=progress,
    )
    if result.failures:
        raise PasegError("\n".join(result.failures.values()))
    return list(result.rows)


def score_folder(
    predictions: str | Path,
    references: str | Path,
    *,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    dataset_json: str | Path | None = None,
    preset: str = "default",
    missing_as_empty: bool = False,
    num_processes: int = 1,
    dask: str | None = None,
    progress: bool = False,
) -> Evaluation:
    """Score every case that can be scored, and report the others; arguments as in `evaluate_folder`.

    Raises:
        PasegError: The folders do not match, the classes are unknown, or no file contains any of them.
    """
    predictions, references = Path(predictions), Path(references)
    if preset not in PRESETS:
        raise PasegError(f"unknown metrics preset {preset!r}: choose one of {', '.join(PRESETS)}")
    if num_processes < 1:
        raise PasegError(f"The number of processes is {num_processes}: it must be 1 or more.")
    pairs = _pairs(predictions, references, missing_as_empty=missing_as_empty)
    classes = find_classes(predictions, references, labels=labels, dataset_json=dataset_json)
    if not classes.values:
        raise PasegError(f"{classes.source or 'labels'}: no foreground class to score; declare at least one")
    jobs = [Job(case, *files, classes, preset) for case, files in pairs.items()]
    scored = tqdm(
        score_cases(jobs, min(num_processes, len(jobs)), dask),
        total=len(jobs),
        desc="evaluate",
        unit="case",
        disable=not progress,
    )
    results = {job.case: result for job, result in scored}
    cases = {case: results[case] for case in pairs if isinstance(results[case], CaseScores)}
    failures = {case: results[case] for case in pairs if isinstance(results[case], str)}
    rows = tuple(row for case in cases.values() for row in case.rows)
    if not failures and not present_classes(rows):
        raise PasegError(nothing_compared(cases, classes))
    # A class that is absent so far may be in a file that cannot be read.
    absent = [] if failures else absent_notes(rows, classes)
    return Evaluation(rows, failures, (*absent, *unscored_notes(cases, classes)))


def _pairs(predictions: Path, references: Path, *, missing_as_empty: bool) -> dict[str, tuple[Path | None, Path]]:
    """Return the prediction and the reference of every case."""
    predicted, referred = label_maps(predictions), label_maps(references)
    if not referred:
        raise PasegError(f"{references}: no label maps; expected {{case}} with one of {', '.join(IMAGES)}")
    if (missing := sorted(referred.keys() - predicted.keys())) and not missing_as_empty:
        raise PasegError(
            f"{predictions}: no prediction for {some(missing)} of {len(referred)} cases: predict them, "
            "or score them as empty with --missing-as-empty"
        )
    if extra := sorted(predicted.keys() - referred.keys()):
        raise PasegError(f"{references}: no reference for {some(extra)}: move these predictions to another folder")
    return {case: (predicted.get(case), path) for case, path in sorted(referred.items())}


def find_classes(
    predictions: Path,
    references: Path,
    *,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    dataset_json: str | Path | None = None,
) -> Classes:
    """Return the classes to score, as given or from dataset.json; arguments and errors as in `evaluate_folder`."""
    if labels is not None:
        return Classes(_class_values(labels))
    places = [references, references.resolve().parent, predictions]
    found = (
        [Path(dataset_json)] if dataset_json else [p / "dataset.json" for p in places if (p / "dataset.json").exists()]
    )
    if not found:
        raise PasegError(
            f"no dataset.json in or next to {references}: pass --dataset-json FILE, or label values with --labels"
        )
    try:
        declared = dict(json.loads(found[0].read_text(encoding="utf-8"))["labels"])
        ignore = declared.pop("ignore", None)
        values = _class_values({name: value for name, value in declared.items() if name != "background"})
        if ignore is not None and ((*_values(ignore),) in values.values() or len(_values(ignore)) != 1):
            raise ValueError(f"the ignore label is {ignore!r}")
        return Classes(values, None if ignore is None else _values(ignore)[0], found[0])
    except (PasegError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise PasegError(
            f'{found[0]}: not a dataset.json with nnU-Net\'s "labels" ({error!r}): expected a value per class name, '
            'such as {"background": 0, "tumor": 1}'
        ) from error


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg evaluate`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="Dice, ASSD and HD95 of predictions against dense references",
        description="Score a folder of predicted label maps against dense references: Dice, ASSD and HD95 in mm. Cases "
        "are matched by file name. Print the means per class, and write the scores per case and class to a CSV file.",
        epilog="example: paseg evaluate -p predictions -r labelsTs -o scores.csv",
    )
    parser.add_argument("-p", "--predictions", type=Path, required=True, help="folder of predicted label maps")
    parser.add_argument("-r", "--references", type=Path, required=True, help="folder of dense label maps")
    parser.add_argument("-o", "--output", type=Path, help="CSV file for the scores per case and class")
    parser.add_argument(
        "--dataset-json",
        type=Path,
        help="nnU-Net's dataset.json with the class names (default: found in or next to -r)",
    )
    parser.add_argument("-l", "--labels", type=int, nargs="+", help="label values to score, instead of a dataset.json")
    parser.add_argument(
        "--preset", choices=PRESETS, default="default", help="definition of ASSD and HD95 (default: %(default)s)"
    )
    parser.add_argument(
        "--missing-as-empty",
        action="store_true",
        help="score cases without a prediction as empty predictions, and count them",
    )
    parser.add_argument(
        "-np",
        "--num-processes",
        type=int,
        default=min(8, os.cpu_count() or 1),
        help="number of processes (default: %(default)s)",
    )
    add_dask_argument(parser)
    add_json_argument(parser)
    parser.set_defaults(func=_run)


def _run(args: argparse.Namespace) -> int:
    if args.output:
        check_output(args.output)
    labels = None if args.labels is None else {f"label {value}": value for value in args.labels}
    result = score_folder(
        args.predictions,
        args.references,
        labels=labels,
        dataset_json=args.dataset_json,
        preset=args.preset,
        missing_as_empty=args.missing_as_empty,
        num_processes=args.num_processes,
        dask=args.dask,
        progress=True,
    )
    error = _write(result, args.output, preset=args.preset)
    if args.json:
        print_json({**to_json(result, preset=args.preset), **({"error": error} if error else {})})
    else:
        _print(result, preset=args.preset)
    if error:
        print(f"paseg: error: {error}", file=sys.stderr)
    return 2 if error else 0


def _write(result: Evaluation, output: Path | None, *, preset: str) -> str | None:
    """Write the CSV file, and return what is wrong: a full disk does not hide what was found."""
    try:
        if output and result.rows:
            write_csv(result.rows, output, preset=preset)
    except PasegError as error:
        return str(error)
    if not result.failures:
        return None
    total = len(result.failures) + len({row.case for row in result.rows})
    written = f"the rows of the others are in {output}" if output and result.rows else "no rows are written"
    return f"{len(result.failures)} of {total} cases cannot be scored, so no mean is shown; {written}"


def to_json(result: Evaluation, *, preset: str) -> dict[str, Any]:
    """Return scores as JSON. There are no means if a case cannot be scored.

    Args:
        result: Scores.
        preset: Definition of the distances.
    """
    means = [] if result.failures else mean_scores(result.rows)
    return {
        "preset": preset,
        "means": [_renamed(asdict(mean)) for mean in means],
        "rows": [_renamed(asdict(row)) for row in result.rows],
        "failures": result.failures,
        "notes": result.notes,
    }


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with the class under the name that it has in the CSV file."""
    return {"class" if key == "class_name" else key: value for key, value in fields.items()}


def _print(result: Evaluation, *, preset: str) -> None:
    for case, message in result.failures.items():
        print(f"{case}: {message}", file=sys.stderr)
    if not result.failures:
        print(format_table(mean_scores(result.rows), preset=preset))
    for note in result.notes:
        print(note)
    if missing := len({row.case for row in result.rows if row.missing_prediction}):
        cases = len({row.case for row in result.rows})
        print(f"{missing} of {cases} cases have no prediction and count as empty.")


def _class_values(labels: Mapping[str, int | Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Return the label values by class.

    Raises:
        PasegError: A class has no name or no value, or two classes have the same values.
    """
    values = {name: _values(value) for name, value in labels.items()}
    if not all(isinstance(name, str) and name.strip() and of_class for name, of_class in values.items()):
        raise PasegError(f"a class has no name, or no label value, in {labels!r}: add it")
    if len({frozenset(of_class) for of_class in values.values()}) < len(values):
        raise PasegError(f"two classes have the same label values in {labels!r}: correct them")
    return values


def _values(value: Any) -> tuple[int, ...]:
    parts = [value] if isinstance(value, int | str) else list(value)
    for part in parts:
        is_number = type(part) is int or (isinstance(part, str) and part.isascii() and part.isdecimal())
        if not is_number or int(part) < 1:
            raise PasegError(f"the label value {part!r} is not a whole number from 1 (0 is background): correct it")
    return tuple(map(int, parts))
