"""`paseg report`: one HTML page with figures and scores of every case, worst first, training curves and warnings."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.metrics import PRESETS
from nnunet_paseg.io.files import atomic_output, check_output
from nnunet_paseg.plotting.names import visible
from nnunet_paseg.report.sources import Sources, single_labels

TRAINING_PICTURES = 4
"""Number of training cases to draw: those with the fewest seeds."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg report`."""
    parser = subparsers.add_parser(
        "report",
        help="one HTML page: figures, scores, loss curves, warnings",
        description="Write a page with every predicted case, worst first, its scores if there are references, training "
        "curves and warnings. The page is one file that loads nothing and runs no script.",
        epilog="example: paseg report -p predictions -i imagesTs -r labelsTs -o report.html",
    )
    parser.add_argument("-p", "--predictions", type=Path, required=True, help="folder of predicted label maps")
    parser.add_argument("-i", "--images", type=Path, required=True, help="folder of the images that were predicted")
    parser.add_argument("-r", "--references", type=Path, help="folder of dense label maps of the same cases")
    parser.add_argument(
        "-d", "--dataset", type=Path, metavar="FOLDER", help="raw dataset, for points, seeds and their warnings"
    )
    parser.add_argument(
        "-m",
        "--models",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="folders of trained models, for their curves",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="default: %(default)s")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing page")
    parser.add_argument("--pictures", type=int, default=50, metavar="N", help="number of cases to draw (default: 50)")
    parser.add_argument(
        "--dataset-json", type=Path, help="file with the class names (default: found next to the references)"
    )
    parser.add_argument("-l", "--labels", type=int, nargs="+", help="label values to use instead of a dataset.json")
    parser.add_argument("--preset", choices=PRESETS, default="default", help="definition of ASSD and HD95")
    parser.add_argument("--missing-as-empty", action="store_true", help="score cases without a prediction as empty")
    parser.add_argument(
        "-np", "--num-processes", type=int, default=min(8, os.cpu_count() or 1), help="processes (default: %(default)s)"
    )
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    names = ("predictions", "images", "references", "dataset", "models", "dataset_json", "labels")
    failures = write_report(
        Sources(**{name: getattr(arguments, name) for name in names}),
        arguments.output,
        overwrite=arguments.overwrite,
        pictures=arguments.pictures,
        preset=arguments.preset,
        missing_as_empty=arguments.missing_as_empty,
        num_processes=arguments.num_processes,
        progress=True,
    )
    for where, what in failures:
        print(visible(f"{where}: {what}"), file=sys.stderr)
    print(arguments.output)
    if failures:
        number = len({where for where, _ in failures})
        raise PasegError(
            f"{number} of the cases and models cannot be used: repair their files; {arguments.output} shows the rest, "
            "and no mean"
        )
    return 0


def write_report(
    sources: Sources,
    output: Path,
    *,
    overwrite: bool = False,
    pictures: int = 50,
    preset: str = "default",
    missing_as_empty: bool = False,
    num_processes: int = 1,
    progress: bool = False,
) -> list[tuple[str, str]]:
    """Write the page atomically.

    Args:
        sources: Folders and files of the report.
        output: HTML file.
        overwrite: Whether to replace an existing page.
        pictures: Number of cases to draw, the worst ones; the table contains all cases.
        preset: Definition of the distances, a key of `nnunet_paseg.evaluation.metrics.PRESETS`.
        missing_as_empty: Whether a reference without a prediction is scored as an empty prediction.
        num_processes: Number of processes that share the scoring.
        progress: Whether to show progress bars on stderr.

    Returns:
        Cases and models with a file that cannot be used, and the message; the page lists them and shows no mean.

    Raises:
        PasegError: The page exists, or one of the sources cannot be used.
    """
    if output.exists() and not overwrite:
        raise PasegError(f"{output} exists already: choose a different --output, or pass --overwrite.")
    check_output(output)
    from tqdm import tqdm

    from nnunet_paseg.report.annotation import RawDataset
    from nnunet_paseg.report.cases import find_cases
    from nnunet_paseg.report.drawing import draw_case, draw_each, draw_training_case
    from nnunet_paseg.report.page import Page, render
    from nnunet_paseg.report.training import read_trainings

    dataset = None if sources.dataset is None else RawDataset.open(sources.dataset)
    trainings = [training for model in sources.models for training in read_trainings(model)]
    classes = sources.classes()
    found = find_cases(
        sources.predictions,
        sources.images,
        sources.references,
        classes,
        preset=preset,
        missing_as_empty=missing_as_empty,
        num_processes=num_processes,
        progress=progress,
    )
    labels = single_labels(classes)
    shown = {case.identifier: case for case in found.cases[: max(0, pictures)] if case.image is not None}
    bar = tqdm(shown, desc="pictures", unit="case", disable=not progress)
    drawn = draw_each(bar, lambda case: draw_case(shown[case], dataset, labels))
    marked = dataset.fewest_seeds(TRAINING_PICTURES) if dataset else []
    drawn_training = draw_each(marked, lambda case: draw_training_case(case, dataset) if dataset else b"")
    failures = [*found.failures, *drawn.failures, *drawn_training.failures]
    failures += [(training.title, training.failure) for training in trainings if training.failure]
    warnings = [(case.identifier, warning) for case in found.cases for warning in case.warnings()]
    warnings += [*drawn.warnings, *drawn_training.warnings, *(dataset.warnings() if dataset else [])]
    warnings += [(training.title, warning) for training in trainings for warning in training.warnings]
    page = Page(
        title=f"{(sources.dataset or sources.predictions).resolve().name}: report",
        facts=[("cases", str(len(found.cases))), *sources.facts()],
        labels=labels,
        cases=found.cases,
        pictures=drawn.pictures,
        preset=None if sources.references is None else preset,
        annotation=dataset.summary() if dataset else "",
        training_pictures=drawn_training.pictures,
        trainings=trainings,
        failures=list(dict.fromkeys(failures)),
        notes=found.notes,
        warnings=warnings,
    )
    try:
        with atomic_output(output) as temporary:
            temporary.write_text(render(page), encoding="utf-8")
    except OSError as error:
        raise PasegError(f"{output}: cannot be written ({error})") from error
    return list(page.failures)
