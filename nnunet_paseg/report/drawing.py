"""Figures of cases, drawn from their files; a figure that cannot be drawn costs a line of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_image
from nnunet_paseg.report.annotation import RawDataset
from nnunet_paseg.report.cases import ReportCase
from nnunet_paseg.report.files import check_grid, read_labels
from nnunet_paseg.report.pictures import CaseVolumes, case_picture


@dataclass(frozen=True)
class Drawn:
    """Figures of some cases.

    Attributes:
        pictures: PNG file by case.
        failures: Cases with a file that cannot be used, and the message.
        warnings: Cases without a figure for a different reason, and the message.
    """

    pictures: Mapping[str, bytes]
    failures: list[tuple[str, str]]
    warnings: list[tuple[str, str]]


def draw_each(cases: Iterable[str], draw: Callable[[str], bytes]) -> Drawn:
    """Draw cases one by one; an error concerns its case alone."""
    pictures, failures, warnings = {}, [], []
    for case in cases:
        try:
            pictures[case] = draw(case)
        except PasegError as error:
            failures.append((case, str(error)))
        except Exception as error:  # whatever matplotlib or ITK raises: the table is worth more than a figure
            warnings.append((case, f"the figure cannot be drawn ({type(error).__name__}: {error})"))
    return Drawn(pictures, failures, warnings)


def draw_case(case: ReportCase, dataset: RawDataset | None, labels: Mapping[str, int]) -> bytes:
    """Return a PNG file of a predicted case, with points and seeds if it is a training case of the dataset.

    Raises:
        PasegError: A file cannot be read, or its grid differs from the grid of the image.
    """
    if case.image is None:
        raise PasegError(f"Case {case.identifier} has no image that can be used.")
    prediction = None if case.prediction is None else read_labels(case.prediction)
    reference = None if case.reference is None else read_labels(case.reference)
    volumes = _volumes(case.identifier, case.image, dataset, prediction, reference, case.dice)
    return case_picture(volumes, labels)


def draw_training_case(case: str, dataset: RawDataset) -> bytes:
    """Return a PNG file of a training case's points and seeds.

    Raises:
        PasegError: A file cannot be read, or its grid differs from the grid of the image.
    """
    return case_picture(_volumes(case, dataset.image(case), dataset), dataset.labels)


def _volumes(
    case: str,
    image: Path,
    dataset: RawDataset | None,
    prediction: sitk.Image | None = None,
    reference: sitk.Image | None = None,
    dice: float = np.nan,
) -> CaseVolumes:
    seeds = dataset.seeds(case) if dataset else None
    if seeds is not None:
        check_grid(seeds, image)
    return CaseVolumes(
        read_image(image),
        prediction,
        reference,
        None if seeds is None else read_labels(seeds),
        dataset.ignore if dataset else None,
        dataset.points(case) if dataset else None,
        dice,
    )
