"""``paseg report``: a project on one page: pictures and scores of every case, worst first, curves and warnings."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.metrics import PRESETS
from nnunet_paseg.io.files import atomic_output, check_output
from nnunet_paseg.report.sources import Sources, single_labels

TRAINING_PICTURES = 4
"""Training cases that are drawn, those with the fewest seeds."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``paseg report``."""
    parser = subparsers.add_parser(
        "report",
        help="one HTML page: pictures, scores, loss curves, warnings",
        description="Write a page that shows every predicted case, with its scores where the truth is known (worst "
        "first), training curves, and what needs a look. It is one file that loads nothing and runs no script.",
        epilog="example: paseg report -p predictions -i imagesTs -r labelsTs -o report.html",
    )
    parser.add_argument("-p", "--predictions", type=Path, required=True, help="folder of predicted label maps")
    parser.add_argument("-i", "--images", type=Path, required=True, help="folder of the images that were predicted")
    parser.add_argument("-r", "--references", type=Path, help="folder of dense label maps of the same cases")
    parser.add_argument(
        "-d", "--dataset", type=Path, metavar="FOLDER", help="raw dataset, for points, seeds and warnings about them"
    )
    parser.add_argument(
        "-m", "--models", type=Path, nargs="+", default=[], metavar="FOLDER", help="trained models, for their curves"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="default: %(default)s")
    parser.add_argument("--overwrite", action="store_true", help="replace the page if it is there")
    parser.add_argument("--pictures", type=int, default=50, metavar="N", help="of the first N cases (default: 50)")
    parser.add_argument("--dataset-json", type=Path, help="file with the class names (default: looked for)")
    parser.add_argument("-l", "--labels", type=int, nargs="+", help="label values, instead of a dataset.json")
    parser.add_argument("--preset", choices=PRESETS, default="default", help="definition of ASSD and HD95")
    parser.add_argument("--missing-as-empty", action="store_true", help="score cases without a prediction as empty")
    parser.add_argument(
        "-np", "--num-processes", type=int, default=min(8, os.cpu_count() or 1), help="processes (default: %(default)s)"
    )
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    names = ("predictions", "images", "references", "dataset", "models", "dataset_json", "labels")
    write_report(
        Sources(**{name: getattr(arguments, name) for name in names}),
        arguments.output,
        overwrite=arguments.overwrite,
        pictures=arguments.pictures,
        preset=arguments.preset,
        missing_as_empty=arguments.missing_as_empty,
        num_processes=arguments.num_processes,
        progress=True,
    )
    print(arguments.output)
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
) -> None:
    """Write the page; it appears only when it is complete.

    Args:
        sources: what it is made from.
        output: HTML file.
        overwrite: replace it if it is there.
        pictures: number of cases that are drawn, the worst ones; all of them are in the table.
        preset: definition of the distances, a key of `nnunet_paseg.evaluation.metrics.PRESETS`.
        missing_as_empty: score a reference without a prediction as if nothing had been predicted.
        num_processes: processes that share the scoring.
        progress: show progress bars on stderr.

    Raises:
        PasegError: the page exists, or one of the sources cannot be used.
    """
    if output.exists() and not overwrite:
        raise PasegError(f"{output} exists already: choose another --output, or pass --overwrite.")
    check_output(output)
    from tqdm import tqdm

    from nnunet_paseg.report.annotation import RawDataset
    from nnunet_paseg.report.cases import find_cases
    from nnunet_paseg.report.drawing import draw_case, draw_training_case
    from nnunet_paseg.report.page import Page, render
    from nnunet_paseg.report.training import read_trainings

    dataset = None if sources.dataset is None else RawDataset.open(sources.dataset)
    trainings = [training for model in sources.models for training in read_trainings(model)]
    classes = sources.classes()
    cases = find_cases(
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
    bar = tqdm(cases[: max(0, pictures)], desc="pictures", unit="case", disable=not progress)
    drawn = {case.identifier: draw_case(case, dataset, labels) for case in bar}
    marked = dataset.fewest_seeds(TRAINING_PICTURES) if dataset else []
    warnings = [(case.identifier, warning) for case in cases for warning in case.warnings()]
    warnings += dataset.warnings() if dataset else []
    warnings += [(training.title, warning) for training in trainings for warning in training.warnings]
    page = Page(
        title=f"{(sources.dataset or sources.predictions).resolve().name}: report",
        facts=[("cases", str(len(cases))), *sources.facts()],
        labels=labels,
        cases=cases,
        pictures=drawn,
        preset=None if sources.references is None else preset,
        annotation=dataset.summary() if dataset else "",
        training_pictures={case: draw_training_case(case, dataset) for case in marked if dataset},
        trainings=trainings,
        warnings=warnings,
    )
    try:
        with atomic_output(output) as temporary:
            temporary.write_text(render(page), encoding="utf-8")
    except OSError as error:
        raise PasegError(f"{output}: cannot be written ({error})") from error
