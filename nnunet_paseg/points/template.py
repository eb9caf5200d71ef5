"""`paseg template`: lists of named points for 3D Slicer, in which no point has been placed yet."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.io.names import check_names

if TYPE_CHECKING:
    from nnunet_paseg.points.annotation import Annotation

SUFFIX = ".mrk.json"
MAX_TARGETS = 99
"""Most targets per class: more are clicked in a list without names."""


def write_template(folder: Path, class_names: Sequence[str], *, targets: int = 1) -> list[Path]:
    """Write one list of seven points per target, and one per class that states that the class is absent.

    Args:
        folder: New folder, written atomically.
        class_names: Classes of the dataset.
        targets: Number of targets per class.

    Returns:
        Files of the folder.

    Raises:
        PasegError: The folder exists or cannot be written, or the labels of two classes cannot be distinguished.
    """
    from nnunet_paseg.points.formats.annotation_file import check_labels, write_annotation

    check_names(class_names)
    check_labels(class_names)
    if not 1 <= targets <= MAX_TARGETS:
        raise PasegError(f"A template has 1 to {MAX_TARGETS} targets per class, not {targets}: change --targets.")
    if folder.exists():
        raise PasegError(f"{folder} exists already: name a new folder for the template.")
    names = []
    try:
        with atomic_output(folder) as temporary:
            temporary.mkdir(parents=True)
            for number, (stem, annotation) in enumerate(_lists(class_names, targets), start=1):
                names.append(f"{stem or f'list_{number}'}{SUFFIX}")
                write_annotation(annotation, temporary / names[-1], fixed=True)
    except OSError as error:
        raise PasegError(f"{folder} cannot be written ({error.strerror}): name a different folder.") from error
    return [folder / name for name in names]


def _lists(class_names: Sequence[str], targets: int) -> Iterator[tuple[str, Annotation]]:
    """Yield the lists and the names of their files, which are empty for classes that cannot be in one."""
    from nnunet_paseg.points.annotation import Annotation, planned_clicks

    for name in class_names:
        stem = re.sub(r"\s", "_", name) if re.fullmatch(r"[\w\s-]+", name) else ""
        for number in range(1, targets + 1):
            yield f"{stem}_{number}" * bool(stem), Annotation(planned_clicks(name, number))
        yield f"{stem}_absent" * bool(stem), Annotation(absent=(name,))


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg template`."""
    parser = subparsers.add_parser(
        "template",
        help="point lists for 3D Slicer, whose points are named and only need to be clicked",
        description="Write point lists for 3D Slicer: CLASS_1.mrk.json with the seven points of a target, named but "
        "not placed, and CLASS_absent.mrk.json, which states that a case has no target of the class. Drag the lists of "
        "a case into 3D Slicer: with 'place multiple control points' it asks for one point after the other. Save them "
        "as CASE.mrk.json, or several into a folder CASE. A case is used when all its points are placed.",
        epilog="example: paseg template --classes tumor edema -o template",
    )
    parser.add_argument("--classes", nargs="+", default=["target"], help="classes of the dataset (default: target)")
    parser.add_argument("--targets", type=int, default=1, help="targets per class that a case may have (default: 1)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("template"), metavar="FOLDER", help="new folder (default: template)"
    )
    parser.set_defaults(func=_run)


def _run(args: argparse.Namespace) -> int:
    for path in write_template(args.output, args.classes, targets=args.targets):
        print(path)
    return 0
