"""`paseg evaluate`: scores of a folder of predicted label maps against a folder of dense references."""

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tqdm import tqdm

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.case_scores import Classes, Job, score_case
from nnunet_paseg.evaluation.metrics import PRESETS
from nnunet_paseg.evaluation.table import Row, format_table, mean_scores, write_csv
from nnunet_paseg.io.case_files import IMAGES, label_maps
from nnunet_paseg.io.files import check_output


def evaluate_folder(
    predictions: str | Path,
    references: str | Path,
    *,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    dataset_json: str | Path | None = None,
    preset: str = "default",
    missing_as_empty: bool = False,
    num_processes: int = 1,
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
        progress: Whether to show a progress bar on stderr.

    Returns:
        One row per case and class, ordered by case.

    Raises:
        PasegError: The folders do not match, a file cannot be read, geometries differ, or a label is not declared.
    """
    predictions, references = Path(predictions), Path(references)
    if preset not in PRESETS:
        raise PasegError(f"unknown metrics preset {preset!r}: choose one of {', '.join(PRESETS)}")
    if num_processes < 1:
        raise PasegError(f"The number of processes is {num_processes}: it must be 1 or more.")
    predicted, referred = label_maps(predictions), label_maps(references)
    if not referred:
        raise PasegError(f"{references}: no label maps; expected {{case}} with one of {', '.join(IMAGES)}")
    if (missing := sorted(referred.keys() - predicted.keys())) and not missing_as_empty:
        raise PasegError(
            f"{predictions}: no prediction for {_some(missing)} of {len(referred)} cases: predict them, "
            "or score them as empty with --missing-as-empty"
        )
    if extra := sorted(predicted.keys() - referred.keys()):
        raise PasegError(f"{references}: no reference for {_some(extra)}: move these predictions to another folder")
    classes = find_classes(predictions, references, labels=labels, dataset_json=dataset_json)
    if not classes.values:
        raise PasegError(f"{classes.source or 'labels'}: no foreground class to score; declare at least one")
    jobs = [Job(case, predicted.get(case), referred[case], classes, preset) for case in sorted(referred)]
    scored = tqdm(
        _scored(jobs, min(num_processes, len(jobs))),
        total=len(jobs),
        desc="evaluate",
        unit="case",
        disable=not progress,
    )
    return [row for rows in scored for row in rows]


def find_classes(
    predictions: Path,
    references: Path,
    *,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    dataset_json: str | Path | None = None,
) -> Classes:
    """Return the classes to score, as given or from dataset.json; arguments and errors as in `evaluate_folder`."""
    if labels is not None:
        return Classes({name: _values(value) for name, value in labels.items()})
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
        values = {name: _values(value) for name, value in declared.items() if name != "background"}
        return Classes(values, None if ignore is None else int(ignore), found[0])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise PasegError(f'{found[0]}: not a dataset.json with nnU-Net\'s "labels" ({error!r})') from error


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
    parser.set_defaults(func=_run)


def _run(args: argparse.Namespace) -> int:
    if args.output:
        check_output(args.output)
    labels = None if args.labels is None else {f"label {value}": value for value in args.labels}
    rows = evaluate_folder(
        args.predictions,
        args.references,
        labels=labels,
        dataset_json=args.dataset_json,
        preset=args.preset,
        missing_as_empty=args.missing_as_empty,
        num_processes=args.num_processes,
        progress=True,
    )
    print(format_table(mean_scores(rows), preset=args.preset))
    if missing := len({row.case for row in rows if row.missing_prediction}):
        print(f"{missing} of {len({row.case for row in rows})} cases have no prediction and count as empty.")
    # Written last, so that a full disk does not hide the printed table.
    if args.output:
        write_csv(rows, args.output, preset=args.preset)
    return 0


def _scored(jobs: Sequence[Job], num_processes: int) -> Iterator[list[Row]]:
    if num_processes == 1:
        yield from map(score_case, jobs)
        return
    # Not fork: it would copy the threads of the libraries in the parent in an undefined state.
    with ProcessPoolExecutor(num_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(score_case, jobs)
        finally:
            pool.shutdown(cancel_futures=True)


def _values(value: int | Sequence[int]) -> tuple[int, ...]:
    return (int(value),) if isinstance(value, int | str) else tuple(int(part) for part in value)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
